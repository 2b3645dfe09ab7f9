from bedrock_spark.preview.values import Preview


def page_html(preview: Preview) -> str:
    return ""


def table_html(preview: Preview) -> str:
    return ""
