CREATE FUNCTION {{ find }}({{ args }}) RETURNS {{ other }}
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
DECLARE
  part {{ other }};
BEGIN
  IF {{ nothing }} THEN
{%- if goes %}
    -- It cannot be without values, and has none any more.
    DELETE FROM {{ other }} AS t WHERE {{ there }};
    RETURN NULL;
{%- else %}
    UPDATE {{ other }} AS t SET {{ sets }} WHERE {{ there }} RETURNING t.* INTO part;
    RETURN part;
{%- endif %}
  END IF;
  UPDATE {{ other }} AS t SET {{ sets }} WHERE {{ there }} RETURNING t.* INTO part;
  IF NOT FOUND THEN
    INSERT INTO {{ other }} AS t ({{ columns }}) VALUES ({{ values }})
{%- if unique %}
    ON CONFLICT ({{ found_by }}) DO NOTHING
{%- endif %} RETURNING t.* INTO part;
    IF NOT FOUND AND EXISTS (SELECT FROM {{ table }} AS b WHERE {{ is_row }}) THEN
      RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001',
        HINT = 'Old code inserted these values while this statement waited. Retry the transaction.';
    END IF;
  END IF;
  RETURN part;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ find }} IS {{ comment }};
