import cohere
from reference import *

v2 = cohere.ClientV2(api_key=KEY, base_url=URL)
embedded = v2.embed(model=EMBEDDING_MODEL, texts=TEXTS, input_type="search_document", embedding_types=["float", "int8", "binary"])
assert_same_vectors(embedded.embeddings.float_, vectors_of(TEXTS))
assert len(embedded.embeddings.int8[0]) == len(embedded.embeddings.float_[0])
assert len(embedded.embeddings.binary[0]) * 8 == len(embedded.embeddings.float_[0])
as_query = v2.embed(model=EMBEDDING_MODEL, texts=[QUERY], input_type="search_query", embedding_types=["float"])
assert_same_vectors(as_query.embeddings.float_, vectors_of([QUERY], input_type="query"))
assert as_query.meta.billed_units.input_tokens > 0
ranked = v2.rerank(model=RERANK_MODEL, query=QUERY, documents=DOCUMENTS)
assert_same_ranking([(result.index, result.relevance_score) for result in ranked.results])
assert len(v2.rerank(model=RERANK_MODEL, query=QUERY, documents=DOCUMENTS, top_n=1).results) == 1
try:
    v2.rerank(model="nothing", query=QUERY, documents=DOCUMENTS)
    raise AssertionError("an unknown model was taken")
except cohere.NotFoundError:
    pass

if hasattr(cohere, "Client"):
    v1 = cohere.Client(api_key=KEY, base_url=URL)
    old = v1.rerank(model=RERANK_MODEL, query=QUERY, documents=DOCUMENTS, return_documents=True)
    assert_same_ranking([(result.index, result.relevance_score) for result in old.results])
    assert old.results[0].document.text == DOCUMENTS[old.results[0].index]
