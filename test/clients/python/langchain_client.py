from cohere.errors import NotFoundError
from langchain_cohere import CohereEmbeddings, CohereRerank
from langchain_core.documents import Document
from langchain_openai import OpenAIEmbeddings
from openai import BadRequestError
from reference import *

wanted = vectors_of(TEXTS)
as_query = vectors_of([QUERY], input_type="query")

# Without check_embedding_ctx_length=False LangChain sends ids of OpenAI's tokenizer, which mean nothing to Qwen3.
openai = OpenAIEmbeddings(model=EMBEDDING_MODEL, api_key=KEY, base_url=f"{URL}/v1", check_embedding_ctx_length=False)
assert_same_vectors(openai.embed_documents(TEXTS), wanted)

cohere = CohereEmbeddings(model=EMBEDDING_MODEL, cohere_api_key=KEY, base_url=URL)
assert_same_vectors(cohere.embed_documents(TEXTS), wanted)
assert_same_vectors([cohere.embed_query(QUERY)], as_query)
ranked = CohereRerank(model=RERANK_MODEL, cohere_api_key=KEY, base_url=URL, top_n=len(DOCUMENTS)).rerank(DOCUMENTS, QUERY)
assert_same_ranking([(result["index"], result["relevance_score"]) for result in ranked])

for call, error in [
    (lambda: openai.embed_documents([""]), BadRequestError),
    (lambda: CohereRerank(model="nothing", cohere_api_key=KEY, base_url=URL).rerank(DOCUMENTS, QUERY), NotFoundError),
]:
    try:
        call()
        raise AssertionError("a wrong request was taken")
    except error:
        pass
