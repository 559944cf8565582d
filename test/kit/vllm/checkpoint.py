"""Makes two tiny Qwen3 checkpoints: checkpoint.py TOKENIZER_FOLDER EMBEDDING_FOLDER RERANKER_FOLDER

Random weights (the same in both), 1024-d output, the real Qwen3 vocabulary. One narrow layer, so that vLLM's HTTP front
end is what limits them, as it is for the 0.6B models on a large GPU.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

END_OF_TEXT = "<|endoftext|>"
END_OF_TEXT_ID = 151643


def append_end_of_text(tokenizer: dict) -> None:
    """Qwen3-Embedding's tokenizer ends every text with <|endoftext|>; the reranker's and Qwen3's own do not."""
    end = {"SpecialToken": {"id": END_OF_TEXT, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    tokenizer["post_processor"] = {
        "type": "Sequence",
        "processors": [
            tokenizer["post_processor"],
            {
                "type": "TemplateProcessing",
                "single": [first, end],
                "pair": [first, end, second, end],
                "special_tokens": {
                    END_OF_TEXT: {"id": END_OF_TEXT, "ids": [END_OF_TEXT_ID], "tokens": [END_OF_TEXT]}
                },
            },
        ],
    }


def main() -> None:
    source, embedding, reranker = (Path(argument) for argument in sys.argv[1:4])
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=151936,
            hidden_size=1024,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=1,
            num_key_value_heads=1,
            head_dim=64,
            max_position_embeddings=32768,
            rope_theta=1e6,
            tie_word_embeddings=True,
            bos_token_id=END_OF_TEXT_ID,
            eos_token_id=151645,
        )
    ).to(torch.bfloat16)
    for folder in (embedding, reranker):
        model.save_pretrained(folder)
        shutil.copy(source / "tokenizer_config.json", folder)
        tokenizer = json.loads((source / "tokenizer.json").read_text())
        if folder == embedding:
            append_end_of_text(tokenizer)
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))


main()
