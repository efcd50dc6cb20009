"""The API's page: whatever stands in the document is on it, as text, and every link of it leads."""

import re

import pytest

from bff.api_page import api_page
from contracts.openapi import SERVICES, document
from contracts.schema import Schema

DOCUMENTS = {service.name: document(service) for service in SERVICES}
PAGES = {name: api_page(it) for name, it in DOCUMENTS.items()}
EVERY = pytest.mark.parametrize("name", PAGES)


def keys(it: object, *path: str) -> list[str]:
    for key in path:
        assert isinstance(it, dict)
        it = it[key]
    assert isinstance(it, dict)
    return list(it)


@EVERY
def test_page_names_every_path_and_every_body(name: str) -> None:
    page, it = PAGES[name], DOCUMENTS[name]
    for path in keys(it, "paths"):
        assert f"<code>{path}</code>" in page
    for schema in keys(it, "components", "schemas"):
        assert f"<h3 id='{schema}'>" in page
        for field in keys(it, "components", "schemas", schema):
            if field == "properties":
                for key in keys(it, "components", "schemas", schema, field):
                    assert f"<code>{key}</code>" in page


@EVERY
def test_page_says_which_code_has_which_status(name: str) -> None:
    for response in keys(DOCUMENTS[name], "components", "responses"):
        status = response.rpartition("-")[2]  # one code may have another status elsewhere
        assert f"<td><code>{status}</code></td>" in PAGES[name]
    assert "<code>INPUT_TOO_LARGE</code>" in PAGES[name]


@EVERY
def test_every_link_within_the_page_leads_to_one_place(name: str) -> None:
    ids = re.findall(r" id='([^']+)'", PAGES[name])
    assert len(ids) == len(set(ids))
    links = re.findall(r"href='#([^']+)'", PAGES[name])
    assert links
    assert set(links) <= set(ids)


@EVERY
def test_page_loads_only_styles_of_our_own_and_runs_nothing(name: str) -> None:
    links = re.findall(r"(?:href|src)='([^'#][^']*)'", PAGES[name])
    assert set(links) == {"./", "openapi.json", "page/page.css", "page/api.css"}
    assert not re.search(r"<script|<style|\son\w+=|\sstyle=", PAGES[name])


def test_text_of_the_document_stays_text() -> None:
    nasty = "<script>x</script> ' \" & `a<b`"
    schema: Schema = {"type": "object", "properties": {nasty: {"type": "string"}}}
    hostile: Schema = {
        "info": {"title": nasty, "description": nasty},
        "paths": {nasty: {"post": {"operationId": nasty, "summary": nasty, "responses": {}}}},
        "components": {"schemas": {nasty: schema}},
    }
    page = api_page(hostile)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 6
    assert "<code>a&lt;b</code>" in page
