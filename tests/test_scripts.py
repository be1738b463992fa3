"""Languages without spaces and with combining marks: fair baselines, lengths, topics and similar rows."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_tui.dataset import duplicates, similarity, words
from distill_tui.dataset.audit import coverage, topics
from distill_tui.dataset.build import Row
from distill_tui.gates.gate import Gate
from distill_tui.runs import headroom
from distill_tui.terms import Split
from distill_tui.training import baseline
from support.findings import sentence

CHINESE = {"refund": "我要退款", "parcel": "包裹没到", "invoice": "开张发票", "login": "忘记密码"}
THAI = {"refund": "ขอคืนเงิน", "parcel": "พัสดุยังไม่ถึง", "invoice": "ขอใบเสร็จ", "login": "ลืมรหัสผ่าน"}
HINDI = {"refund": "पैसे वापस", "parcel": "पार्सल नहीं", "invoice": "बिल चाहिए", "login": "पासवर्ड भूल"}
FILL = {"chinese": "的一是了在人有他这中大来上国和", "thai": "กขคงจชซญดตถทธนบป", "hindi": ["क", "ख", "ग", "घ", "च"]}


def texts(phrases: dict[str, str], fill: str, count: int = 300, apart: str = "") -> tuple[list[str], list[int]]:
    """Short texts around a phrase that names the label; nothing separates it from what stands around it."""
    draw, names = random.Random(3), list(phrases)
    filler = FILL[fill]
    made = []
    for number in range(count):
        around = ["".join(draw.choices(filler, k=6)) for _ in range(2)]
        made.append(apart.join((around[0], phrases[names[number % len(names)]], around[1])))
    return made, [number % len(names) for number in range(count)]


@pytest.mark.parametrize(
    ("phrases", "fill", "apart"), [(CHINESE, "chinese", ""), (THAI, "thai", ""), (HINDI, "hindi", " ")]
)
def test_the_baseline_reads_scripts_without_spaces_and_with_combining_marks(
    phrases: dict[str, str], fill: str, apart: str
) -> None:
    made, labels = texts(phrases, fill, apart=apart)
    answer = baseline.fit_baseline(made[:200], np.array(labels[:200]), 1)
    assert (answer(made[200:]) == labels[200:]).mean() > 0.95


def test_words_stay_where_they_are_better_than_letters() -> None:
    draw, common = random.Random(5), [sentence(n).split() for n in range(4)]
    made = [" ".join(draw.sample(common[n % 4], 6) + sentence(n + 100).split()[:6]) for n in range(200)]
    labels = np.array([n % 4 for n in range(200)])
    answer = baseline.fit_baseline(made[:150], labels[:150], 1)
    assert (answer(made[150:]) == labels[150:]).mean() > 0.9


def test_the_nearest_row_is_found_in_chinese() -> None:
    made, labels = texts(CHINESE, "chinese")
    nearest = baseline.fit_nearest(made[:200], [str(label) for label in labels[:200]])
    found = nearest(made[200:])
    assert sum(answer == str(label) for answer, label in zip(found, labels[200:], strict=True)) > 90


def test_a_teacher_is_not_called_ahead_of_a_baseline_that_cannot_read() -> None:
    made, labels = texts(CHINESE, "chinese")
    counts = headroom.compare(made, labels, labels, 1)
    assert counts["baseline"] > 0.95 * counts["rows"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("the parcel is late", 4),
        ("包裹还没有到", 3),
        ("荷物がまだ届きません", 6),
        ("한국어 문장은 짧다", 3),
        ("मेरा पार्सल नहीं आया", 4),
        ("包裹 A-100，还没有到！", 4),
        ("พัสดุยังไม่ถึง", 4),
        ("ຂ້ອຍຢາກຄືນເງິນ", 4),
        ("ខ្ញុំចង់បានប្រាក់វិញ", 5),
        ("ငွေပြန်အမ်းပါ", 4),
        ("", 0),
    ],
)
def test_words_are_counted_in_any_script(text: str, count: int) -> None:
    assert words.count(text) == count


def test_combining_marks_do_not_split_a_word() -> None:
    assert words.words("नमस्ते पार्सल") == ["नमस्ते", "पार्सल"]
    assert words.words("e\u0301te\u0301 நன்றி") == ["e\u0301te\u0301", "நன்றி"]
    assert words.distinctive("เรียน")[0] == "เรี"


@given(st.text(max_size=80))
def test_whatever_is_written_is_counted_and_split(text: str) -> None:
    assert words.count(text) >= 0
    assert all(len(word) >= 2 for word in words.words(text))
    assert isinstance(words.distinctive(text), list) and words.without_spaces(text) in (True, False)


@given(st.text(st.characters(max_codepoint=126, min_codepoint=32)))
def test_english_words_are_those_of_scikit_learn(text: str) -> None:
    assert words.words(text) == baseline.TfidfVectorizer(lowercase=False).build_tokenizer()(text)


def test_lengths_of_chinese_texts_are_not_all_of_one_word() -> None:
    made = [Row(n, text, text, "a", "web", None, Split.TRAIN, 1.0, "a", None) for n, text in enumerate(
        [*(["包裹还没有到"] * 30), *(["包裹还没有到，请帮我查询一下订单的状态，谢谢您的帮助"] * 30)]
    )]  # fmt: skip
    found = coverage.audit(made, [None] * 60, Gate((), held_out_rows=10), ["a"])
    assert {value.value for value in found.axes["length"]} == {"1-4 words", "5-12 words"}


@pytest.mark.parametrize(
    ("phrases", "fill", "apart"), [(CHINESE, "chinese", ""), (THAI, "thai", ""), (HINDI, "hindi", " ")]
)
def test_topics_gather_texts_without_spaces(phrases: dict[str, str], fill: str, apart: str) -> None:
    made, labels = texts(phrases, fill, 160, apart)
    own, names = topics.clusters(made, 4)
    pairs = Counter(zip(own, labels, strict=True))
    pure = sum(max(pairs[cluster, label] for label in range(4)) for cluster in set(own))
    assert pure > 0.7 * len(made) and len(set(own)) == len(names) == 4


def test_the_most_similar_chinese_text_is_found() -> None:
    made, labels = texts(CHINESE, "chinese", 80)
    places, cosines = similarity.nearest(made[:40], made[40:])
    assert sum(labels[place + 40] == label for place, label in zip(places, labels[:40], strict=True)) > 24  # chance: 10
    assert min(cosines) > 0


# --- near duplicates -------------------------------------------------------------------------------------------------

ALIKE = [
    ("请帮我查询一下本月的信用卡账单", "请帮我查询一下上月的信用卡账单"),  # one character of fifteen
    ("我的包裹还没有到，请帮我查一下", "我的包裹还没有到。请帮我查一下！"),  # punctuation
    ("我的包裹还没有到请帮我查一下谢谢", "您好我的包裹还没有到请帮我查一下谢谢"),  # a greeting
    ("荷物がまだ届きません、確認してください", "荷物がまだ届いていません、確認してください"),
    ("พัสดุของฉันยังไม่ถึงช่วยตรวจสอบให้หน่อย", "พัสดุของฉันยังไม่ถึงช่วยตรวจสอบให้ด้วย"),
    ("मेरा पार्सल अभी तक नहीं आया है", "मेरा पार्सल अभी तक नहीं आया"),
    ("e\u0301te\u0301 a la plage hier soir", "été a la plage hier soir"),  # NFD and NFC
    ("안녕하세요 주문한 상품이 아직 도착하지 않았어요", "주문한 상품이 아직 도착하지 않았어요"),
]
APART = [
    ("我要退款", "我要退货"),  # money back, and goods back
    ("怎么修改我的登录密码", "如何申请开具发票"),
    ("返品したいのですが", "返金してほしい"),
    ("ขอคืนเงินสำหรับคำสั่งซื้อ", "ขอใบเสร็จสำหรับคำสั่งซื้อของฉัน"),
    ("ปา", "ปู"),  # only the vowel differs, which is a combining mark of one
    ("คน มา", "คน มี"),
    ("किताब", "कीताब"),
    ("मेरा पासवर्ड काम नहीं कर रहा", "बिल की प्रति चाहिए कृपया भेजें"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_texts_that_differ_in_a_word_or_a_mark_of_punctuation_stay_together(one: str, other: str) -> None:
    assert duplicates.near_duplicates([one, other]) == [0, 0]


@pytest.mark.parametrize(("one", "other"), APART)
def test_short_texts_of_another_meaning_are_no_near_duplicates(one: str, other: str) -> None:
    assert duplicates.near_duplicates([one, other]) == [0, 1]


def test_a_chinese_near_duplicate_is_on_one_side_of_the_split() -> None:
    made, _ = texts(CHINESE, "chinese", 60)
    longer = [f"{text}请尽快帮我处理一下谢谢" for text in made]
    varied = [text.replace("一下", "了") for text in longer]
    clusters = duplicates.near_duplicates([*longer, *varied])
    assert sum(one == other for one, other in zip(clusters[:60], clusters[60:], strict=True)) >= 57


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_rule_for_near_duplicates_depends_on_the_texts_alone(one: str, other: str) -> None:
    found = duplicates.near_duplicates([one, other])
    assert found == ([0, 0] if duplicates.near_duplicates([other, one]) == [0, 0] else [0, 1])
    assert duplicates.near_duplicates([one, one]) == [0, 0]


def test_an_accent_is_the_same_however_it_was_typed() -> None:
    """The words of one half of the rows are written with combining marks, those of the other without."""
    words_of = {0: ["trả", "tiền", "hoàn"], 1: ["gói", "hàng", "chưa"]}
    draw = random.Random(4)
    made = [" ".join(draw.choices(words_of[n % 2], k=4)) for n in range(120)]
    labels = np.array([n % 2 for n in range(120)])
    answer = baseline.fit_baseline(made[:80], labels[:80], 1)
    assert (answer([unicodedata.normalize("NFD", text) for text in made[80:]]) == labels[80:]).all()
