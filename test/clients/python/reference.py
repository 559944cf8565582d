"""What each client here is compared with: plain HTTP to the same gateway. Its place and key come from the environment."""

import json
import os
import urllib.request

URL = os.environ["ER_CLIENT_URL"]
KEY = os.environ["ER_CLIENT_KEY"]
EMBEDDING_MODEL = "Qwen3-Embedding-0.6B"
RERANK_MODEL = "Qwen3-Reranker-0.6B"
TEXTS = ["Hello, world!", "The train to Lisbon leaves at noon", "北京是中国的首都。"]
QUERY = "What is the capital of China?"
DOCUMENTS = ["The capital of China is Beijing.", "Gravity is a force.", "Bananas are yellow."]


def post(path, body):
    request = urllib.request.Request(
        URL + path,
        data=json.dumps(body).encode(),
        headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def vectors_of(texts, **options):
    return [item["embedding"] for item in post("/v1/embeddings", {"input": texts, **options})["data"]]


def assert_same_vectors(found, wanted):
    """Equal but for the last bits, which batches may change on a real server."""
    assert len(found) == len(wanted), (len(found), len(wanted))
    for one, other in zip(found, wanted):
        assert len(one) == len(other), (len(one), len(other))
        dot = sum(float(a) * b for a, b in zip(one, other))
        assert abs(dot - 1) < 1e-3, dot


def assert_same_ranking(found):
    """`found` are pairs of index and score, best first."""
    results = post("/v1/rerank", {"query": QUERY, "documents": DOCUMENTS})["results"]
    scores = {result["index"]: result["relevance_score"] for result in results}
    assert len(found) == len(DOCUMENTS), found
    for index, score in found:
        assert abs(score - scores[index]) < 1e-3, (index, score, scores)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True), found
