"""A few facts that tiny models are trained on, and one thread to do it."""

from __future__ import annotations

import pytest

from telbench.harness.datasets.items import DataSet, Item

FACTS = (
    ("AMF", "The AMF terminates NAS signalling and handles registration and mobility of the UE."),
    ("PFCP", "PFCP runs over UDP, and its request messages are sent to destination port 8805."),
    ("BGP", "BGP routers exchange their messages over TCP connections that use port 179."),
    ("SCTP", "SCTP delivers messages over several streams within one association."),
    ("GTP-U", "GTP-U carries user packets in UDP tunnels to destination port 2152."),
    ("PDCP", "The PDCP layer ciphers, compresses headers and restores the order of packets."),
    ("HARQ", "HARQ combines soft bits of repeated transmissions before decoding."),
    ("PTP", "PTP distributes time of day with an accuracy better than 1 µs over packet networks."),
)
WORDINGS = ("What does {} do?", "Explain {} in short.", "Which task falls to {}?")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tensors here are tiny, and threads that wait for each other on a busy machine take minutes over them."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def facts() -> DataSet:
    items = tuple(
        Item(f"{term}-{k}", wording.format(term), (answer,), source_document=term, split="train")
        for term, answer in FACTS
        for k, wording in enumerate(WORDINGS)
    )
    return DataSet("facts", "train", items)
