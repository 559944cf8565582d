from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from reference import *

client = InferenceClient(base_url=f"{URL}/embed", token=KEY)
assert_same_vectors(client.feature_extraction(TEXTS).tolist(), vectors_of(TEXTS))
as_query = client.feature_extraction([QUERY], prompt_name="query", normalize=True, truncate=True, truncation_direction="right")
assert_same_vectors(as_query.tolist(), vectors_of([QUERY], input_type="query"))

try:
    client.feature_extraction([""])
    raise AssertionError("an empty text was taken")
except HfHubHTTPError as refused:
    assert refused.response.status_code == 400, refused
    assert refused.response.json()["error_type"] == "Validation", refused
