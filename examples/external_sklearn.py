#!/usr/bin/env python3
"""Explaining a scikit-learn model with Tokray: TF-IDF and logistic regression behind --external.

    tokray explain --external "python3 external_sklearn.py" "The plot is thin, but the acting is superb."

The protocol (docs/external.md) is one JSON object a line: first the labels, then an answer to each request.  Whatever else a program
wants to say belongs on standard error.
"""
import json
import sys

try:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
except ImportError:
    sys.exit('scikit-learn is not installed: python3 -m pip install scikit-learn')

EXAMPLES = [
    ('a superb film with fine acting', 'good'),
    ('the end is touching and the music superb', 'good'),
    ('fine pictures and a clever plot', 'good'),
    ('clever, warm and touching', 'good'),
    ('an hour of superb acting', 'good'),
    ('the plot is thin and the music loud', 'bad'),
    ('a dull film with a thin story', 'bad'),
    ('loud, long and dull', 'bad'),
    ('the acting is dull and the end is thin', 'bad'),
    ('an hour too long', 'bad'),
]


def train():
    texts, labels = zip(*EXAMPLES)
    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=10)).fit(texts, labels)


def say(answer):
    print(json.dumps(answer), flush=True)


def main():
    model = train()
    say({'labels': [str(label) for label in model.classes_]})
    for line in sys.stdin:
        request = json.loads(line)
        say({'id': request['id'], 'scores': model.predict_proba(request['texts']).tolist()})


if __name__ == '__main__':
    main()
