from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.postprocessor.cohere_rerank import CohereRerank
from openai import NotFoundError
from reference import *

embeddings = OpenAILikeEmbedding(model_name=EMBEDDING_MODEL, api_base=f"{URL}/v1", api_key=KEY)
wanted = vectors_of(TEXTS)
assert_same_vectors(embeddings.get_text_embedding_batch(TEXTS), wanted)
assert_same_vectors([embeddings.get_text_embedding(TEXTS[0])], [wanted[0]])

reranker = CohereRerank(model=RERANK_MODEL, api_key=KEY, base_url=URL, top_n=len(DOCUMENTS))
nodes = [NodeWithScore(node=TextNode(text=text, id_=str(index)), score=0) for index, text in enumerate(DOCUMENTS)]
ranked = reranker.postprocess_nodes(nodes, query_str=QUERY)
assert_same_ranking([(int(node.node.id_), node.score) for node in ranked])

try:
    OpenAILikeEmbedding(model_name="nothing", api_base=f"{URL}/v1", api_key=KEY, max_retries=0).get_text_embedding(TEXTS[0])
    raise AssertionError("an unknown model was taken")
except NotFoundError:
    pass
