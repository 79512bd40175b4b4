"""Vertex AI's JSON turned into tuneform's values and back, one module a job family. Pure."""
