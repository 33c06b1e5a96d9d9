"""Deciding, running and recording: configuration, study, Ray runtime, tracking, front and command line."""
