/** Weights of a hybrid search: three that sum to 1. */

export const PARTS = ["semantic", "keyword", "recency"];

const rounded = (value) => Math.round(value * 100) / 100;

/** The same weights with one changed; the others share what is left as they did before. */
export function balanced(weights, changed, value) {
  const others = PARTS.filter((part) => part !== changed);
  const before = others.reduce((sum, part) => sum + weights[part], 0);
  const left = 1 - value;
  const first = rounded(before ? (left * weights[others[0]]) / before : left / 2);
  return { [changed]: value, [others[0]]: first, [others[1]]: rounded(left - first) };
}
