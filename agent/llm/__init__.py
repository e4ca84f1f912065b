"""The language model proposer: an OpenAI-compatible endpoint, prompts as data, replies as candidates."""
