"""Speech to text: engines behind one protocol, guards against invented words, and the word error rate. No Kafka."""
