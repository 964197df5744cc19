"""The form of `attribute` in the Prefect UI: every field is explained, choices are offered, nonsense is refused by name."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.pictures import keep
from tests.browser.prefect_pages import Form, sections
from tests.browser.serving import Served
from tests.browser.watched import Watched

pytestmark = pytest.mark.browser


@pytest.fixture
def form(watched: Watched, prefect_ui: Served) -> Form:
    return Form(watched.page, prefect_ui.url, "attribute/openmoji-tiny")


def test_every_field_of_the_form_is_explained(form: Form) -> None:
    words = " ".join(form.page.locator("form").inner_text().split())
    for section, schema in sections().items():
        for name, field in schema["properties"].items():
            assert " ".join(field["description"].split()) in words, f"{section}.{name} is not explained"
    keep(form.page.screenshot(), "form")


def test_fields_with_few_values_offer_them_as_choices(form: Form) -> None:
    assert form.choices("execution.mode") == ["inline", "processes", "work_pool"]
    for section, schema in sections().items():
        for name, field in schema["properties"].items():
            if "enum" in field:
                assert form.choices(f"{section}.{name}") == field["enum"]


def test_the_form_begins_with_the_preset(form: Form) -> None:
    expect(form.field("name")).to_have_value("openmoji-tiny")
    expect(form.field("estimation.budget")).to_have_value("16")
    expect(form.field("coalition.steps")).to_have_value("20")
    expect(form.field("execution.mode")).to_have_text("processes")
    assert [box.input_value() for box in form.items("data.only").all()][:2] == ["Crystal Moon", "Emily Jäger"]


def test_a_number_out_of_bounds_is_refused_at_its_field(form: Form) -> None:
    budget = form.field("estimation.budget")
    budget.fill("3")
    before = form.page.url
    form.submit()
    message = budget.evaluate("box => box.validationMessage")
    assert "4" in message and budget.evaluate("box => box === document.activeElement"), message
    assert form.page.url == before


def test_what_only_the_server_can_refuse_is_refused_with_the_fields_name(form: Form) -> None:
    form.field("execution.deployment").fill("a/b")
    form.submit()
    expect(form.refusal()).to_contain_text("study.execution.deployment")
    expect(form.section("execution").get_by_text("'a/b' does not match")).to_be_visible()
