"""No language falls through: words are found in another form, and where nothing is written between them."""

from __future__ import annotations

import pytest

from tests.client import Client

FOUND = [
    ("English", "The children's bicycles were running late", "bicycle run"),
    ("German", "Meine Brüder haben Häuser am See", "bruder haus"),
    ("French", "Nous avons mangé des pommes à l'hôtel", "hotel pomme"),
    ("Spanish", "Las canciones españolas de mi abuela", "canción"),
    ("Italian", "I gatti dormono sul divano dell'amica", "gatto amica"),
    ("Portuguese", "As praias do norte são bonitas", "praia"),
    ("Dutch", "De katten slapen op de vensterbank", "kat"),
    ("Russian", "Мои книги лежат на столе", "книга"),
    ("Arabic", "القطط تنام في الشمس", "قطط"),
    ("Hindi", "लड़के मैदान में खेल रहे हैं", "लड़का"),
    ("Polish", "Zażółć gęślą jaźń", "zazolc"),
    ("Japanese", "私は昨日東京タワーに行きました", "東京"),
    ("Chinese", "我昨天去了北京大学", "北京大学"),
    ("Korean", "고양이가 소파에서 잠을 잔다", "고양이"),
    ("Thai", "ผมชอบกินข้าวผัดกับเพื่อน", "ข้าวผัด"),
    ("full width", "Ｏｒｄｅｒ １８４２ is late", "order 1842"),
    ("nothing but common words", "It is what it is", "what is it"),
]
ELSEWHERE = ["A sentence about lighthouses", "Der Zug kommt um acht", "我们在家", "ฝนตกหนัก", "вечером дождь", "كتاب"]


@pytest.fixture(scope="module")
async def remembered(member: Client) -> Client:
    for _, content, _ in FOUND:
        await member.store(content)
    for content in ELSEWHERE:
        await member.store(content)
    return member


@pytest.mark.parametrize(("language", "content", "query"), FOUND, ids=[language for language, *_ in FOUND])
async def test_words_are_found_in_every_language(remembered: Client, language: str, content: str, query: str) -> None:
    assert (await remembered.contents(query, search_mode="keyword"))[:1] == [content]


@pytest.mark.parametrize(
    ("query", "content"), [("タワー", FOUND[11][1]), ("大学", FOUND[12][1]), ("ข้าว", FOUND[14][1])]
)
async def test_a_part_that_is_a_word_is_found(remembered: Client, query: str, content: str) -> None:
    assert (await remembered.contents(query, search_mode="keyword"))[:1] == [content]
