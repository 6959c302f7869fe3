"""PDF files -> documents: text in content order with its fonts, put together again into paragraphs.

pages.py    a PDF -> lines of text with fonts and places, by pdfium          layout.py   lines -> paragraphs of a whole file
process.py  both in a process of their own, with limits of time and memory   reader.py   a file -> a document, or why there is none
"""
