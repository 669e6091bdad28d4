"""The head of the page as those read it who show a link."""

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.testclient import TestClient
from starlette.middleware import Middleware

from learner.view.server.link_preview import DESCRIPTION, PICTURE, LinkPreview

PAGE = """<html><head><title>x</title>
<meta property="og:title" content="Gradio" /><meta
   property="og:url"
   content="{url}"
/><meta name="twitter:image"
content="a" /><meta name="viewport" content="b" /></head><body>
&lt;/head></body></html>"""


@pytest.fixture
def made():
    """How often the page was made."""
    return []


@pytest.fixture
def client(made):
    app = FastAPI(middleware=[Middleware(LinkPreview)])
    app.get("/", response_class=HTMLResponse)(lambda: made.append(1) or PAGE)
    app.get("/other", response_class=HTMLResponse)(lambda: PAGE)
    app.get("/data", response_class=JSONResponse)(lambda: {"head": "</head>"})
    return TestClient(app, base_url="http://arena.test:7860")


def test_the_page_names_itself_and_its_own_address(client):
    page = client.get("/?prompt=ada/p").text
    assert "Gradio" not in page and "{url}" not in page
    assert page.count('property="og:title"') == page.count('name="description"') == 1
    assert '<meta property="og:url" content="http://arena.test:7860/" />' in page
    assert f'<meta property="og:description" content="{DESCRIPTION}" />' in page
    assert '<meta name="viewport" content="b" />' in page
    assert page.endswith("&lt;/head></body></html>")


def test_the_picture_that_it_names_is_there(client):
    page = client.get("/").text
    address = page.split('property="og:image" content="')[1].split('"')[0]
    found = client.get(address)
    assert found.headers["content-type"] == "image/png"
    assert found.content == PICTURE.read_bytes()


def test_behind_a_proxy_the_address_is_the_one_that_people_know(client):
    headers = {"x-forwarded-proto": "https", "x-forwarded-host": "ada-arena.hf.space"}
    assert 'content="https://ada-arena.hf.space/"' in client.get("/", headers=headers).text


def test_a_page_is_made_once_for_all_who_ask_for_it_by_the_same_address(client, made):
    first = client.get("/?tab=try")
    again = client.get("/?seed=3")
    assert (again.text, again.headers) == (first.text, first.headers)
    assert len(made) == 1
    other = client.get("/", headers={"x-forwarded-host": "ada-arena.hf.space"})
    assert "ada-arena.hf.space/" in other.text and len(made) == 2
    assert client.get("/").text == first.text and len(made) == 2
    assert client.head("/").headers == first.headers and len(made) == 2
    for number in range(20):
        client.get("/", headers={"host": f"name-{number}"})
    assert client.get("/").text == first.text and len(made) == 23  # it was forgotten meanwhile


def test_a_page_that_sets_a_cookie_is_for_one_alone():
    app = FastAPI(middleware=[Middleware(LinkPreview)])
    made = iter("ab")

    def page():
        return HTMLResponse(PAGE, headers={"set-cookie": f"name={next(made)}"})

    app.get("/")(page)
    client = TestClient(app)
    assert [client.get("/").headers["set-cookie"] for _ in range(2)] == ["name=a", "name=b"]


def test_nothing_that_a_stranger_sends_becomes_markup(client):
    page = client.get("/", headers={"x-forwarded-host": '"><script>x</script>'}).text
    assert "<script>" not in page


def test_everything_else_is_as_it_was(client):
    assert client.get("/other").text == PAGE
    assert client.get("/data").json() == {"head": "</head>"}
    assert client.get("/nothing").status_code == 404
    assert client.post("/").status_code == 405


def test_gradios_own_page_is_understood():
    with gr.Blocks(title="Arena", analytics_enabled=False) as demo:
        gr.Markdown("Hello")
    app_kwargs = {"middleware": [Middleware(LinkPreview)]}
    app, *_ = demo.launch(prevent_thread_lock=True, quiet=True, app_kwargs=app_kwargs)
    try:
        page = TestClient(app).get("/").text
    finally:
        demo.close()
    assert "Click to try out the app!" not in page and "{url}" not in page
    assert page.count('property="og:url"') == page.count('property="og:image"') == 1
