"""How a text of the model is marked for programs, beside the sentence that people read. Pure.

The mark is microdata of schema.org with the source type of the IPTC list, which search engines and
picture agencies read as well; downloads and answers of the JSON door carry the header besides.
"""

from markupsafe import Markup

# https://cv.iptc.org/newscodes/digitalsourcetype/: "created algorithmically using a model".
SOURCE = "https://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
MARK = Markup('data-generator="ai" itemscope itemtype="https://schema.org/CreativeWork"')
AI = "ai"
HEADER = "X-AI-Generated"
# Of a page or file that holds words of people as well; each AI text in it has its own mark.
PARTLY = "partly"
