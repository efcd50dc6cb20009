"""LLMGW, the gateway to the model: one generation, proved before anyone sees it."""
