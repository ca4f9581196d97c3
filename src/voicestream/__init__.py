"""Kafka Streams for live voice."""
