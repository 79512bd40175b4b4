"""The state as a document: nothing lost on the way there and back, and nothing unsound taken for a state."""

from __future__ import annotations

import dataclasses
import gc
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Source, StateError
from reconciler.model.desired import Lifecycle, Priority
from reconciler.state.codec import decode_state, encode_state
from reconciler.state.integrity import problems_of
from reconciler.state.records import Attempt, Because, Hold, Intent, Origin, Record, State, Ticket
from reconciler.state.shapes import HEAD, HOLD, INTENT, RECORD, TICKET, Shape

AT = datetime(2026, 11, 20, 18, 30, 0, 250_000, tzinfo=UTC)
RECORDED = Record(
    address="support-classifier",
    attempts=(
        Attempt(
            number=1,
            fingerprint="v1-0123456789abcdef",
            job="projects/1/locations/us-central1/tuningJobs/11",
            location="us-central1",
            origin=Origin.CREATED,
            recorded_at=AT,
            fields={
                "baseModel": "gemini-3.5-flash",
                "hyperParameters.epochCount": 4,
                "labels.team": "Kundendienst Süd",
            },
            nonce="t0123456789",
            because=Because.REPLACED,
        ),
        Attempt(
            number=1,
            fingerprint="v1-fedcba9876543210",
            job="projects/1/locations/us-central1/tuningJobs/12",
            location="us-central1",
            origin=Origin.LABEL,
            recorded_at=AT + timedelta(hours=3),
        ),
    ),
    lifecycle=Lifecycle(on_remove="delete", retries=2),
    source=Source("manifests/support.yaml", 12, 3),
)
RETIRED = Record(address="old", attempts=(replace(RECORDED.attempts[0], job="projects/1/locations/eu/tuningJobs/3"),))
INTENDED = Intent(
    address="intent-sweep[epochCount=4]",
    fingerprint="v1-1111111111111111",
    attempt=1,
    nonce="t9",
    location="us-central1",
    written_at=AT,
    fields={"baseModel": "gemini-3.5-flash"},
)
QUEUED = Ticket(
    address="intent-sweep[epochCount=8]",
    fingerprint="v1-2222222222222222",
    attempt=1,
    reason="new",
    priority=Priority.HIGH,
    location="us-central1",
    enqueued_at=AT,
    not_before=AT + timedelta(minutes=5),
    parent="support-classifier",
    approved_by="someone@example.com",
    plan_checksum="0" * 64,
)
HELD = Hold(slots=1, until=AT + timedelta(days=1), reason="demo on Monday", by="someone@example.com")
STATE = State(
    lineage="0b5c7d1e",
    stack="support",
    project="demo-project",
    endpoint="simulator",
    serial=7,
    epoch=2,
    applied=True,
    records={RECORDED.address: RECORDED},
    retired={RETIRED.address: RETIRED},
    intents={INTENDED.address: INTENDED},
    queue={QUEUED.address: QUEUED},
    holds=(HELD,),
    history_head="sha256:abc",
    write_id="w7",
)
TEXT = encode_state(STATE)


texts = st.text(max_size=12)
counts = st.integers(1, 9)
# A zone's offset is not part of an instant; UTC is the one zone of a state.
instants = st.datetimes(timezones=st.just(UTC))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
fields = st.dictionaries(texts, values, max_size=4)
sources = st.builds(Source, texts, counts, counts)


@st.composite
def records(draw: st.DrawFn, address: str, section: str) -> Record:
    """A sound record of an address, whose jobs no other record has."""
    attempts = [
        draw(
            st.builds(
                Attempt,
                number=counts,
                fingerprint=texts,
                location=texts,
                origin=st.sampled_from(Origin),
                job=st.just(f"{index}/{section}/{address}"),
                recorded_at=instants,
                fields=fields,
                nonce=st.none() | texts,
                because=st.none() | st.sampled_from(Because),
                submissions=counts,
            )
        )
        for index in range(draw(st.integers(1, 3)))
    ]
    lifecycle = draw(
        st.builds(
            Lifecycle,
            on_remove=st.sampled_from(["keep", "delete"]),
            on_dataset_change=st.sampled_from(["warn", "retrain", "ignore"]),
            on_parent_change=st.sampled_from(["warn", "retrain"]),
            retries=counts,
            prevent_replace=st.booleans(),
        )
    )
    return Record(address=address, attempts=tuple(attempts), lifecycle=lifecycle, source=draw(st.none() | sources))


@st.composite
def states(draw: st.DrawFn) -> State:
    """A sound state with any content."""
    addresses = st.sets(texts, max_size=3).map(sorted)
    names = st.text(min_size=1, max_size=12)
    tickets = st.builds(
        Ticket,
        address=st.just(""),
        fingerprint=texts,
        attempt=counts,
        reason=texts,
        priority=st.sampled_from(Priority),
        location=texts,
        enqueued_at=instants,
        ready_at=st.none() | instants,
        not_before=st.none() | instants,
        after=st.none() | texts,
        parent=st.none() | texts.map("parent of {}".format),
        refusals=counts,
        submissions=counts,
        approved_by=texts,
        plan_checksum=texts,
    )
    intents = st.builds(
        Intent,
        address=st.just(""),
        fingerprint=texts,
        attempt=counts,
        nonce=st.just(""),
        location=texts,
        written_at=instants,
        fields=fields,
        submissions=counts,
    )
    holds = st.lists(st.builds(Hold, slots=counts, until=instants, reason=texts, by=texts), max_size=2)
    return State(
        lineage=draw(names),
        stack=draw(names),
        project=draw(names),
        endpoint=draw(texts),
        serial=draw(counts),
        epoch=draw(counts),
        applied=draw(st.booleans()),
        records={one: draw(records(one, "records")) for one in draw(addresses)},
        retired={one: draw(records(one, "retired")) for one in draw(addresses)},
        intents={one: replace(draw(intents), address=one, nonce=f"t{one}") for one in draw(addresses)},
        queue={one: replace(draw(tickets), address=one) for one in draw(addresses)},
        holds=tuple(draw(holds)),
        history_head=draw(st.none() | texts),
        write_id=draw(texts),
    )


def refusal(text: str, *, accept_edits: bool = False) -> StateError:
    """The error that a document is refused with."""
    with pytest.raises(StateError) as caught:
        decode_state(text, "state/support.json", accept_edits=accept_edits)
    return caught.value


def edited(change: Callable[[dict[str, Any]], object]) -> str:
    """The document after an edit by hand, its digest left as it was."""
    document = json.loads(TEXT)
    change(document)
    return json.dumps(document)


@given(states())
def test_a_state_survives_its_document(state: State) -> None:
    """Decoding what was encoded gives an equal state, and encoding that gives the same text."""
    text = encode_state(state)
    again = decode_state(text, "a state")
    assert state == again
    assert text == encode_state(again)


def test_the_document_stays_as_it_is(golden: Callable[[str, str], None]) -> None:
    """The document of format 1 keeps its words and its layout, so that today's states are read tomorrow."""
    golden("state.json", TEXT)


def test_an_empty_state_is_a_document() -> None:
    """A state that remembers nothing yet survives its document."""
    state = State(lineage="l", stack="s", project="p", endpoint="e")
    assert state == decode_state(encode_state(state), "a state")


def test_entries_stand_on_lines_of_their_own_in_order() -> None:
    """One record to a line, sorted by address, whatever the order in memory."""
    addresses = ["b", "c", "a"]
    many = {
        one: replace(RECORDED, address=one, attempts=(replace(RECORDED.attempts[0], job=one),)) for one in addresses
    }
    lines = encode_state(replace(STATE, records=many)).splitlines()
    start = lines.index('  "records": {')
    assert ['    "a"', '    "b"', '    "c"'] == [line.partition(":")[0] for line in lines[start + 1 : start + 4]]


def test_half_a_surrogate_pair_survives() -> None:
    """A character that UTF-8 cannot hold comes back, and the document can be written to a file."""
    state = replace(STATE, write_id="\ud83d alone")
    text = encode_state(state)
    assert text == text.encode("utf-8").decode("utf-8")
    assert state == decode_state(text, "a state")


@pytest.mark.parametrize(
    ("shape", "kind"),
    [(RECORD, Record), (INTENT, Intent), (TICKET, Ticket), (HOLD, Hold), (HEAD, State)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_attribute_is_written(shape: Shape, kind: type[Any]) -> None:
    """A value that gets a new attribute must get it in the document too."""
    sections = {"records", "retired", "intents", "queue", "holds"} if kind is State else set()
    assert {one.name for one in dataclasses.fields(kind)} - sections == {name for name, _, _ in shape.columns}


@pytest.mark.parametrize("text", ["", " \n\t ", "\0\0\0\0", "\ufeff"])
def test_nothing_is_never_an_empty_state(text: str) -> None:
    """A document without content is refused, not read as a stack without models."""
    error = refusal(text)
    assert "The state is empty" == error.summary
    assert "state/support.json exists but holds nothing" in error.detail
    assert "tuneform state recover" == error.command


def test_a_document_cut_short_anywhere_is_refused_as_such() -> None:
    """Every beginning of a document is told apart from a document, and named for what it is."""
    whole = TEXT.rstrip()
    summaries = {refusal(whole[:length]).summary for length in range(1, len(whole))}
    assert {"The state is cut short"} == summaries


@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_no_change_of_one_character_passes_unseen(position: int, character: str) -> None:
    """Whatever character is put in whatever place, the document is refused or still means the same."""
    try:
        state = decode_state(TEXT[:position] + character + TEXT[position + 1 :], "a state")
    except StateError:
        return
    assert STATE == state


@pytest.mark.parametrize(
    ("text", "summary", "detail"),
    [
        ("lineage: 1", "The state is not JSON", "state/support.json:1:1: Expecting value"),
        ("<<<<<<< ours\n" + TEXT, "The state is not JSON", "state/support.json:1:1"),
        (TEXT + "}", "The state is not JSON", "Extra data"),
        ('{"format": 1, "lineage": NaN}', "The state is not JSON", "NaN is no JSON number"),
        ('{"format": 1, "format": 1}', "The state is not JSON", 'the key "format" comes twice'),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "The state is not JSON", "recursion"),
        ('{"a": ' + "1" * 5_000 + "}", "The state is not JSON", "limit"),
        ("[]", "The state is not a state", "holds [] where a JSON object belongs"),
        ('"text"', "The state is not a state", "where a JSON object belongs"),
        ("{}", "This file is not a state", "it looks like another tool's file"),
        ('{"format_version": "1.0", "lineage": "l"}', "This file is not a state", "it looks like a saved plan"),
        (edited(lambda it: it.pop("lineage")), "This file is not a state", "no `format` and `lineage`"),
        (edited(lambda it: it.update(format=0)), "The state has an unknown format", "says format 0"),
        (edited(lambda it: it.update(format="1")), "The state has an unknown format", 'says format "1"'),
        (edited(lambda it: it.update(format=True)), "The state has an unknown format", "says format true"),
        (edited(lambda it: it.update(format=2)), "The state was written by a newer tuneform", "uses format 2, and"),
        (
            edited(lambda it: it.update(fingerprintVersion="v2")),
            "The state was written by a newer tuneform",
            "uses fingerprints v2, and",
        ),
        (edited(lambda it: it.update(serial=8)), "The state was changed outside tuneform", "does not fit its digest"),
        (edited(lambda it: it.pop("digest")), "The state was changed outside tuneform", "does not fit its digest"),
    ],
    ids=lambda value: value if len(value) < 60 else "document",
)
def test_what_is_no_state_is_refused_for_what_it_is(text: str, summary: str, detail: str) -> None:
    """Each way in which a document can be wrong has words of its own, and what to do."""
    error = refusal(text)
    assert summary == error.summary
    assert detail in error.detail
    assert "state/support.json" in error.detail


def test_a_newer_format_says_to_upgrade() -> None:
    """The way out of a newer format is an upgrade, and is named."""
    assert (
        "Upgrade tuneform to at least the version that wrote it"
        in refusal(edited(lambda it: it.update(format=2))).detail
    )


def test_a_change_on_purpose_can_be_accepted() -> None:
    """An edited state is refused with the command that accepts it, and read when told so."""
    text = edited(lambda it: it.update(project="other-project"))
    assert "tuneform state push FILE" == refusal(text).command
    assert replace(STATE, project="other-project") == decode_state(text, "a file", accept_edits=True)


@pytest.mark.parametrize("spacing", [{"indent": 4}, {"separators": (",", ":")}, {"ensure_ascii": True}])
def test_other_spacing_is_no_change(spacing: dict[str, Any]) -> None:
    """A document that another tool laid out anew is the same document."""
    text = "\ufeff" + json.dumps(json.loads(TEXT), **spacing).replace("\n", "\r\n")
    assert STATE == decode_state(text, "a file")


RECORD_PLACE = 'records["support-classifier"]'
INTENT_PLACE = 'intents["intent-sweep[epochCount=4]"]'
TICKET_PLACE = 'queue["intent-sweep[epochCount=8]"]'


@pytest.mark.parametrize(
    ("section", "change", "problem"),
    [
        ("records", {"attempts": {}}, f"{RECORD_PLACE}.attempts is {{}}, not a list."),
        ("records", {"attempts": [7]}, f"{RECORD_PLACE}.attempts[0] is 7, not an object."),
        ("records", {"attempts": []}, f"{RECORD_PLACE} has no attempt."),
        ("records", {"address": "x"}, f'{RECORD_PLACE} is about another address, "x".'),
        ("records", {"colour": 1}, f'{RECORD_PLACE} has an unknown key "colour".'),
        ("records", {"source": 1}, f"{RECORD_PLACE}.source is 1, not an object."),
        ("intents", {"attempt": True}, f"{INTENT_PLACE}.attempt is true, not a whole number."),
        ("intents", {"attempt": 0}, f"{INTENT_PLACE}.attempt is 0, below 1."),
        ("intents", {"submissions": 0}, f"{INTENT_PLACE}.submissions is 0, below 1."),
        ("intents", {"nonce": ""}, f"{INTENT_PLACE}.nonce is empty, so its job could not be found again."),
        ("intents", {"writtenAt": 5}, f"{INTENT_PLACE}.writtenAt is 5, not an instant."),
        ("intents", {"fields": []}, f"{INTENT_PLACE}.fields is [], not an object."),
        ("queue", {"priority": "urgent"}, f'{TICKET_PLACE}.priority is "urgent", not one of low, normal, high.'),
        (
            "queue",
            {"enqueuedAt": "yesterday"},
            f'{TICKET_PLACE}.enqueuedAt is "yesterday", not an instant like 2026-11-20T18:30:00Z.',
        ),
        (
            "queue",
            {"notBefore": "2026-11-20T18:30:00"},
            f'{TICKET_PLACE}.notBefore is "2026-11-20T18:30:00", a time without a zone.',
        ),
        ("queue", {"attempt": -1}, f"{TICKET_PLACE}.attempt is -1, below 1."),
        ("queue", {"refusals": -1}, f"{TICKET_PLACE}.refusals is -1, below 0."),
        ("queue", {"submissions": -1}, f"{TICKET_PLACE}.submissions is -1, below 0."),
        (
            "queue",
            {"parent": "intent-sweep[epochCount=8]"},
            f"{TICKET_PLACE}.parent is the address itself, so it would wait for ever.",
        ),
    ],
)
def test_an_unsound_entry_is_named(section: str, change: dict[str, object], problem: str) -> None:
    """An entry that does not fit is refused with its place, its value and what it should be."""

    def apply(document: dict[str, Any]) -> None:
        for entry in document[section].values():
            entry.update(change)

    assert f"- {problem}" in refusal(edited(apply), accept_edits=True).detail.splitlines()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"serial": -1}, "serial is -1, below 0."),
        ({"epoch": -2}, "epoch is -2, below 0."),
        ({"lineage": ""}, "lineage is empty."),
        ({"stack": ""}, "stack is empty."),
        ({"project": ""}, "project is empty."),
        ({"project": None}, "project is null, not a text."),
        ({"applied": 1}, "applied is 1, not true or false."),
        ({"fingerprintVersion": "blue"}, 'fingerprintVersion is "blue", and only "v1" is known.'),
        ({"records": []}, "records is [], not an object."),
        ({"holds": {}}, "holds is {}, not a list."),
        ({"holds": [1]}, "holds[0] is 1, not an object."),
        ({"colour": 1}, '"colour" is not a key of a state.'),
    ],
)
def test_an_unsound_head_is_named(change: dict[str, object], problem: str) -> None:
    """A top-level value that does not fit is refused with its name and what it should be."""
    text = edited(lambda it: it.update(change))
    assert f"- {problem}" in refusal(text, accept_edits=True).detail.splitlines()


def test_a_missing_section_is_named() -> None:
    """A document without its queue is not a document with an empty queue."""
    text = edited(lambda it: it.pop("queue"))
    assert "- queue is missing." in refusal(text, accept_edits=True).detail


def test_a_missing_key_is_named() -> None:
    """An attempt without its job is refused with its place."""
    text = edited(lambda it: it["records"]["support-classifier"]["attempts"][1].pop("job"))
    assert f"- {RECORD_PLACE}.attempts[1] lacks job." in refusal(text, accept_edits=True).detail


def test_every_problem_is_listed_at_once() -> None:
    """All entries that cannot be read are told together, and not one after another."""

    def apply(document: dict[str, Any]) -> None:
        document["serial"] = "7"
        document["records"]["support-classifier"]["lifecycle"]["retries"] = None
        document["queue"]["intent-sweep[epochCount=8]"]["priority"] = 3

    listed = [line for line in refusal(edited(apply), accept_edits=True).detail.splitlines() if line.startswith("- ")]
    assert [
        '- serial is "7", not a whole number.',
        f"- {RECORD_PLACE}.lifecycle.retries is null, not a whole number.",
        f"- {TICKET_PLACE}.priority is 3, not one of low, normal, high.",
    ] == listed


def test_a_long_list_of_problems_ends() -> None:
    """A file with thousands of problems tells the first ones and how many there are more."""
    text = edited(lambda it: it.update(records={str(index): 0 for index in range(1000)}))
    assert "- and 980 more." in refusal(text, accept_edits=True).detail


MOSCOW = timezone(timedelta(hours=3))


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (
            replace(STATE, records={**STATE.records, "b": replace(RECORDED, address="b")}),
            'records["support-classifier"] and records["b"] both claim the job '
            "projects/1/locations/us-central1/tuningJobs/11.",
        ),
        (
            replace(STATE, intents={**STATE.intents, "b": replace(INTENDED, address="b")}),
            f'{INTENT_PLACE} and intents["b"] share the nonce "t9".',
        ),
        (
            replace(STATE, intents={"b": replace(INTENDED, address="b", written_at=AT.replace(tzinfo=None))}),
            'intents["b"].writtenAt is 2026-11-20T18:30:00.250000, which is not in UTC.',
        ),
        (
            replace(STATE, queue={"b": replace(QUEUED, address="b", enqueued_at=AT.astimezone(MOSCOW))}),
            'queue["b"].enqueuedAt is 2026-11-20T21:30:00.250000+03:00, which is not in UTC.',
        ),
        (replace(STATE, holds=(replace(HELD, slots=0),)), "holds[0].slots is 0, below 1."),
        (
            replace(STATE, holds=(replace(HELD, until=AT.replace(tzinfo=None)),)),
            "holds[0].until is 2026-11-20T18:30:00.250000, which is not in UTC.",
        ),
        (
            replace(STATE, records={"a": Record(address="a", attempts=(replace(RECORDED.current, job="", number=0),))}),
            'records["a"].attempts[0].number is 0, below 1.',
        ),
        (
            replace(STATE, retired={"old": replace(RETIRED, lifecycle=Lifecycle(retries=-1))}),
            'retired["old"].lifecycle.retries is -1, below 0.',
        ),
        (replace(STATE, retired={"older": RETIRED}), 'retired["older"] is about another address, "old".'),
    ],
)
def test_an_unsound_state_is_never_written(state: State, problem: str) -> None:
    """What could not be read back is refused before it is written, with the same words."""
    assert problem in problems_of(state)
    with pytest.raises(StateError, match="was not written") as caught:
        encode_state(state)
    assert f"- {problem}" in caught.value.detail


def test_a_retired_record_may_share_a_job() -> None:
    """A job that moved to a new address is still named by the retired record of the old one."""
    moved = replace(STATE, retired={"old": replace(RECORDED, address="old")})
    assert moved == decode_state(encode_state(moved), "a state")


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collection_is_left_as_it_was(enabled: bool) -> None:
    """Encoding, decoding and refusing leave the collector on or off, as the caller had it."""
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        decode_state(encode_state(STATE), "a state")
        refusal("{")
        assert enabled == gc.isenabled()
    finally:
        (gc.enable if was_enabled else gc.disable)()
