"""``voicestream topology``: the graph of stages and topics."""
