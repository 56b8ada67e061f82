"""What a scope's filters find and what it allows to be read by id are the same documents."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.elastic.scope import Ownership, Scope, ScopedQuery, SystemScope, UserScope
from tests.promises import proves

Document = dict[str, Any]

names = st.sampled_from(["a", "b", "c"])
maybe = st.one_of(st.none(), names)
scopes = st.builds(Scope, org_id=names, user_id=names, agent_id=maybe)
documents = st.fixed_dictionaries(
    {"org_id": names}, optional={"user_id": maybe, "agent_id": maybe, "deleted_at": maybe}
)
ownerships = st.sampled_from(Ownership)


def matches(query: dict[str, Any], document: Document) -> bool:
    """The clauses that scopes are made of, as Elasticsearch reads them: null is the same as missing."""
    ((kind, body),) = query.items()
    if kind == "term":
        ((field, value),) = body.items()
        return value is not None and document.get(field) == value
    if kind == "exists":
        return document.get(body["field"]) is not None
    assert kind == "bool", kind
    assert set(body) <= {"filter", "must", "must_not", "should", "minimum_should_match"}
    return (
        all(matches(clause, document) for clause in (*body.get("filter", ()), *body.get("must", ())))
        and not any(matches(clause, document) for clause in body.get("must_not", ()))
        and sum(matches(clause, document) for clause in body.get("should", ())) >= body.get("minimum_should_match", 0)
    )


@given(scopes, documents, ownerships)
@proves("scope.agent")
def test_filters_and_allows_agree(scope: Scope, document: Document, ownership: Ownership) -> None:
    found = all(matches(clause, document) for clause in scope.filters(ownership))
    assert found == scope.allows(document, ownership)


@given(st.builds(UserScope, org_id=names, user_id=names), documents, ownerships)
def test_a_users_scope_is_that_users_rows_and_no_others(
    scope: UserScope, document: Document, ownership: Ownership
) -> None:
    found = all(matches(clause, document) for clause in scope.filters(ownership))
    theirs = (document["org_id"], document.get("user_id")) == (scope.org_id, scope.user_id)
    assert found == scope.allows(document, ownership) == theirs


@given(scopes, documents, ownerships)
def test_no_scope_reaches_another_organisation(scope: Scope, document: Document, ownership: Ownership) -> None:
    if document["org_id"] != scope.org_id:
        assert not scope.allows(document, ownership)


@given(scopes, ownerships)
def test_everyone_reads_what_they_wrote(scope: Scope, ownership: Ownership) -> None:
    assert scope.allows(scope.stamp(), ownership)


@given(scopes, scopes)
def test_an_agent_reads_its_own_rows_and_its_users_and_no_other_agents(reader: Scope, writer: Scope) -> None:
    allowed = reader.allows(writer.stamp(), Ownership.USER)
    same_user = (reader.org_id, reader.user_id) == (writer.org_id, writer.user_id)
    assert allowed == (same_user and (reader.agent_id is None or writer.agent_id in (None, reader.agent_id)))


@given(scopes, documents, ownerships, st.booleans(), st.booleans())
def test_a_query_carries_its_scope_and_hides_what_was_deleted(
    scope: Scope, document: Document, ownership: Ownership, soft_deletes: bool, deleted: bool
) -> None:
    query = ScopedQuery(
        scope, query={"match_all": {}}, filters=[{"term": {"org_id": document["org_id"]}}], deleted=deleted
    )
    body = query.body(ownership, soft_deletes)["query"]["bool"]
    found = all(matches(clause, document) for clause in body["filter"])
    hidden = soft_deletes and not deleted and document.get("deleted_at") is not None
    assert found == (scope.allows(document, ownership) and not hidden)
    assert body["must"] == [{"match_all": {}}]


@given(documents, ownerships)
def test_the_service_itself_reads_all(document: Document, ownership: Ownership) -> None:
    scope = SystemScope("a test")
    assert scope.filters(ownership) == []
    assert scope.allows(document, ownership)
    assert scope.organisations is None


def test_an_aggregation_cannot_leave_the_scope() -> None:
    with pytest.raises(ValueError, match="global"):
        ScopedQuery(Scope("a", "a"), aggregations={"all": {"global": {}}})
