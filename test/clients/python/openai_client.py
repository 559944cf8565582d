import openai
from reference import *

client = openai.OpenAI(api_key=KEY, base_url=f"{URL}/v1", max_retries=0)
wanted = vectors_of(TEXTS)
as_base64 = client.embeddings.create(model=EMBEDDING_MODEL, input=TEXTS)
assert_same_vectors([item.embedding for item in as_base64.data], wanted)
as_float = client.embeddings.create(model=EMBEDDING_MODEL, input=TEXTS, encoding_format="float", dimensions=64)
assert_same_vectors([item.embedding for item in as_float.data], vectors_of(TEXTS, dimensions=64))
assert as_base64.usage.prompt_tokens == as_float.usage.prompt_tokens > len(TEXTS)
as_query = client.embeddings.create(model=EMBEDDING_MODEL, input=[QUERY], extra_body={"input_type": "query"})
assert_same_vectors([as_query.data[0].embedding], vectors_of([QUERY], input_type="query"))
assert EMBEDDING_MODEL in [model.id for model in client.models.list()]
for wrong, error in [(dict(model="nothing", input="a"), openai.NotFoundError), (dict(model=EMBEDDING_MODEL, input=""), openai.BadRequestError)]:
    try:
        client.embeddings.create(**wrong)
        raise AssertionError(wrong)
    except error:
        pass
