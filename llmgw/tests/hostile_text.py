"""Texts drawn near to what could pose as our frame, a marker or a chat template's token."""

from hypothesis import strategies as st

HOSTILE = st.lists(
    st.sampled_from(
        [
            *"<>|[]c1 /s-\n｜【】\u200b\u200d\u202e\ufe0f\ré",
            "INST",
            "SYS",
            "<<",
            "<|",
            "|>",
            "think",
            ", c2",
            "[c1",
        ]
    ),
    max_size=40,
).map("".join)
