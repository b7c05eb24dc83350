"""The names of classes and attributes."""

from iglue_plugins.models.detector.vocabulary import attribute_names, object_names


def test_there_is_a_name_for_each_class_in_the_detectors_order():
    names = object_names()
    assert len(names) == 1600
    assert (names[0], names[1], names[50], names[1599]) == ("yolk", "goal", "man", "buoy")
    assert all(name == name.strip() and name for name in names)


def test_the_first_of_several_names_is_taken():
    assert object_names()[16] == "stop sign"
    assert attribute_names()[0] == "gray"


def test_there_is_a_name_for_each_attribute_in_the_detectors_order():
    names = attribute_names()
    assert len(names) == 400
    assert (names[4], names[399]) == ("red", "leaning")
