"""`module:Name`: a user's own code where a built-in thing is named."""

import sys

import pytest
import torch  # noqa: F401 - its made-up modules must not be copied

from pretext import outside


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "my_helpers.py").write_text("SIZE = 3\n")
    (tmp_path / "my_things.py").write_text(
        "from my_helpers import SIZE\n\n\nclass Thing:\n    def __init__(self, depth, width=SIZE):\n"
        "        self.depth, self.width = depth, width\n\n\n"
        "class Forgetful:\n    def __init__(self, depth):\n        pass\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_things", None)
    sys.modules.pop("my_helpers", None)


def test_a_name_is_found_from_the_working_directory_and_described_as_it_was_given(own_module):
    cls = outside.look_up("thing", "my_things:Thing", {"list": list})
    thing = outside.construct("thing", "my_things:Thing", cls, {"depth": 2})
    assert outside.arguments_of(thing) == {"depth": 2, "width": 3}
    assert outside.name_of(type(thing), {"list": list}) == "my_things:Thing"
    assert outside.name_of(list, {"list": list}) == "list"


@pytest.mark.parametrize(
    "address", ["torchvision:resnet18", "timm:vit", "voc:folder", "folder/mine:x", "a:b:c", "C:"]
)
def test_an_address_of_another_form_names_no_module(address):
    assert not outside.is_outside(address)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lists", "did you mean 'list'"),
        ("missing_module:Thing", "there is no module missing_module in "),
        ("my_things:Thin", r"my_things.py has no Thin \(did you mean 'Thing'\?\)"),
    ],
)
def test_what_is_not_there_is_named(own_module, name, message):
    with pytest.raises(ValueError, match=message):
        outside.look_up("thing", name, {"list": list})


def test_an_argument_that_is_unknown_missing_or_forgotten_is_named(own_module):
    cls = outside.import_outside("my_things:Thing", "thing")
    with pytest.raises(ValueError, match=r"takes no argument 'widht' \(did you mean 'width'\?\)"):
        outside.construct("thing", "my_things:Thing", cls, {"depth": 1, "widht": 2})
    with pytest.raises(ValueError, match="thing my_things:Thing needs the arguments depth"):
        outside.construct("thing", "my_things:Thing", cls, {})
    forgetful = outside.import_outside("my_things:Forgetful", "thing")(depth=1)
    with pytest.raises(ValueError, match=r"Forgetful does not keep its argument depth.*self\.depth"):
        outside.arguments_of(forgetful)


def test_the_files_that_a_module_needs_are_those_it_loads_from_its_folder(own_module):
    (own_module / "unrelated.py").write_text("")
    copied = outside.modules_to_copy("my_things:Thing")
    assert sorted(map(str, copied)) == ["my_helpers.py", "my_things.py"]
    assert not outside.modules_to_copy("numpy:ndarray")
