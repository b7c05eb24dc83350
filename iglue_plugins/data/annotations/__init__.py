"""Readers of IGLUE's annotation files, and of copies of them on the Hugging Face hub, as examples of one schema.

| column | type | content |
|---|---|---|
| `id` | string | as in the file: pairID, question id, MaRVL's id, NLVR2's identifier, image#number for captions |
| `image_ids` | list of string | `<store>/<name>`, the name without folder and suffix; two for MaRVL and NLVR2 |
| `text` | string | hypothesis, question, statement or caption |
| `language` | string | the text's language; for a translated test set, the language that it was translated from |
| `label` | string | a word: XVNLI's labels, an answer, 'True' or 'False', 'match' |
| `caption` | string | a text to pair with the image in a contrastive loss; null where there is none |
"""
