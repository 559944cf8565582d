import voyageai
from reference import *

client = voyageai.Client(api_key=KEY, base_url=f"{URL}/v1")
assert_same_vectors(client.embed(TEXTS, model=EMBEDDING_MODEL, input_type="document").embeddings, vectors_of(TEXTS))
as_query = client.embed([QUERY], model=EMBEDDING_MODEL, input_type="query", output_dimension=64)
assert_same_vectors(as_query.embeddings, vectors_of([QUERY], input_type="query", dimensions=64))
assert as_query.total_tokens > 0
small = client.embed(TEXTS, model=EMBEDDING_MODEL, output_dtype="int8")
assert all(isinstance(value, int) and -128 <= value <= 127 for value in small.embeddings[0])
ranked = client.rerank(QUERY, DOCUMENTS, model=RERANK_MODEL)
assert_same_ranking([(result.index, result.relevance_score) for result in ranked.results])
assert ranked.results[0].document == DOCUMENTS[ranked.results[0].index]
assert len(client.rerank(QUERY, DOCUMENTS, model=RERANK_MODEL, top_k=1).results) == 1

# Voyage's client takes an error whose body it cannot read for a fault of the service.
stranger = voyageai.Client(api_key="er-nobody-knows-this-key", base_url=f"{URL}/v1")
for call, error in [
    (lambda: stranger.embed(TEXTS, model=EMBEDDING_MODEL), voyageai.error.AuthenticationError),
    (lambda: stranger.rerank(QUERY, DOCUMENTS, model=RERANK_MODEL), voyageai.error.AuthenticationError),
    (lambda: client.embed([""], model=EMBEDDING_MODEL), voyageai.error.InvalidRequestError),
    (lambda: client.rerank(QUERY, [], model=RERANK_MODEL), voyageai.error.InvalidRequestError),
]:
    try:
        call()
        raise AssertionError("a wrong request was taken")
    except error as refused:
        assert "Invalid response" not in str(refused), refused
