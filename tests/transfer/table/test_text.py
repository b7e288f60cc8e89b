"""Tables as Markdown and as LaTeX."""

import re

from tests.transfer.table.made_records import HOSTILE, record, table_of
from transfer.table.comparison import make_tables
from transfer.table.overview import make_overview
from transfer.table.text import latex, latex_escape, markdown, markdown_escape


def test_one_seed_has_no_deviation_and_fewer_seeds_than_the_rest_of_the_row_are_told():
    table = table_of(
        record(value=41.0),
        record(value=43.0, seed=1),
        record(stage="conv2"),
        record(stage="conv2", backbone="b"),
    )
    assert table.rows[1].cells["conv2"].deviation is None
    first, second = markdown([table]).splitlines()[4:6]
    assert re.sub(" +", " ", first) == "| colorization | 2 | 42.0 ± 1.4 | **50.0** (n = 1) |"
    assert re.sub(" +", " ", second) == "| b | 1 | | **50.0** |"


def test_bold_are_all_that_print_as_the_best_of_a_column_and_none_that_stands_alone():
    table = table_of(record(value=50.01), record(backbone="b", value=50.04), record(backbone="c", value=49.9))
    assert markdown([table]).count("**50.0**") == 2
    assert "**" not in markdown([table_of(record())])


def test_a_learning_rate_that_is_not_the_protocols_is_told_as_every_setting_is():
    text = markdown([table_of(record(), record(backbone="b", settings={"lr": 0.01, "batch_size": 4}))])
    assert "| b, learning rate = 0.01, batch size = 4 |" in " ".join(text.split())
    assert "optimistic" not in text


def test_published_numbers_stand_beside_with_source_and_mark_and_say_whether_they_compare():
    text = markdown(make_tables([record()]))
    assert "### Published, on ImageNet val: AlexNet" in text
    assert "not comparable with the numbers above, on VOC2007 test under zhang16." in text
    assert "†" not in text
    from_memory = markdown(
        make_tables([record(task="finetune", protocol="voc07", stage="all", metric="mAP")])
    )
    assert "| 52.4† | 61.5 | 65.9 |" in " ".join(from_memory.split())
    assert "† Quoted from memory: no readable source was at hand." in from_memory
    assert "Split-Brain Autoencoders" in text
    assert "not comparable" not in markdown(make_tables([record(data="imagenet val")]))
    assert "Published" not in markdown(make_tables([record(task="knn")]))


def test_a_published_number_of_another_measure_is_said_to_be_of_it():
    detected = {"task": "detect", "protocol": "moco_24k, c4 layer3", "stage": "all"}
    text = markdown(make_tables([record(**detected, metric="AP50")]))
    assert "## Object detection on VOC2007 test, moco_24k, c4 layer3: AP50 (%)" in text
    assert (
        "Measured on VOC2007 test under moco_24k, c4 layer3, as AP50 of 11 points: not comparable with the numbers "
        "above, on VOC2007 test under moco_24k, c4 layer3, as AP50."
    ) in text
    assert "not comparable" not in markdown(make_tables([record(**detected, metric="AP50_11_point")]))


def test_markdown_shows_a_hostile_name_letter_by_letter_in_one_cell():
    assert markdown_escape("a_b\nc") == "a_b c"
    # CommonMark 0.31, section 2.4; GitHub Flavored Markdown, section 4.10.
    assert markdown_escape("_a_ *b* |") == r"\_a\_ \*b\* \|"
    text = markdown([table_of(record(task="knn", backbone=HOSTILE))])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}


def test_in_latex_every_special_character_is_escaped():
    # The ten special characters of Lamport's LaTeX (1994), section 2.1, and those that OT1 lacks.
    assert latex_escape(r"# $ % & ~ _ ^ \ { }") == (
        r"\# \$ \% \& \textasciitilde{} \_ \textasciicircum{} \textbackslash{} \{ \}"
    )
    # Letters that pdflatex does not know by themselves.
    assert latex_escape("L → ab †") == r"L $\rightarrow$ ab $^\dagger$"
    assert latex_escape('<|>"') == r"\textless{}\textbar{}\textgreater{}\textquotedbl{}"


def structure(text):
    """Of LaTeX without line ends and escaped characters: its special characters, environments and unclosed braces."""
    without = re.sub(r"\\\\|\\[#$%&_{}]", "", text)
    counts = {character: without.count(character) for character in "&$%#"}
    return counts, re.findall(r"\\(?:begin|end)\{\w+\}", without), without.count("{") - without.count("}")


def test_a_hostile_name_leaves_latex_with_its_own_structure():
    plain, hostile = (
        latex(make_tables([record(backbone=name, data=name, stage=name)])) for name in ("plain", HOSTILE)
    )
    assert structure(plain) == structure(hostile)
    assert structure(hostile)[2] == 0
    assert "{[name} &" not in hostile
    assert "\n{[x]} & 1" in latex([table_of(record(backbone="[x]"))])


def overview_of(name):
    named = {"backbone": name, "data": name, "stage": name}
    tasks = {"finetune": "mAP", "detect": "AP50", "segment": "mIoU"}
    return make_overview(
        record(task=task, metric=metric, settings={name: 1}, **named) for task, metric in tasks.items()
    )


def test_the_overview_is_one_table_with_a_hostile_name_letter_by_letter():
    plain, hostile = (latex([], overview_of(name)) for name in ("plain", HOSTILE))
    assert structure(plain) == structure(hostile)
    assert structure(hostile)[2] == 0
    ours, theirs = markdown([], overview_of(HOSTILE)).split("### Published")
    for block, columns in ((ours, 5), (theirs, 6)):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {columns + 1}


def test_a_head_of_several_parts_stands_over_several_lines_in_latex():
    text = latex([], overview_of("[all]"))
    assert r"& \shortstack[r]{{Object detection,}\\{[all]:}\\{AP50 (2)}} &" in text
    assert r"\shortstack[r]{{Segmentation,}\\{all:}\\{mIU}} \\" in text
