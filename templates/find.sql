CREATE FUNCTION {{ find }}({{ args }}) RETURNS {{ other }}
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
DECLARE
  row_found {{ other }};
{%- if make %}
  now {{ other }};
  held boolean;
{%- endif %}
BEGIN
{%- if !none.is_empty() %}
  IF {{ none }} THEN RETURN NULL; END IF;
{%- endif %}
{%- if make %}
  -- Rows that many refer to are locked by nobody alone, and by all in the same way: else two writers of the same values
  -- would wait for one another.
  SELECT t.* INTO now FROM {{ other }} AS t WHERE {{ is_now }};
  held := FOUND;
  IF held AND pg_catalog.record_image_eq({{ now_row }}, {{ given_row }}) THEN
    SELECT t.* INTO now FROM {{ other }} AS t WHERE {{ is_now }} FOR SHARE;
    held := FOUND;
    IF held AND pg_catalog.record_image_eq({{ now_row }}, {{ given_row }}) THEN RETURN now; END IF;
  END IF;
{%- for r in required %}
  IF {{ r.value }} IS NOT DISTINCT FROM NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'not_null_violation', SCHEMA = {{ schema_literal }}, TABLE = {{ table_literal }},
      COLUMN = {{ r.column }}, MESSAGE = {{ r.message }}, HINT = {{ all_or_none }};
  END IF;
{%- endfor %}
{%- if !own %}
  SELECT t.* INTO row_found FROM {{ other }} AS t WHERE {{ equal }} AND pg_catalog.record_image_eq({{ shown_row }}, {{ given_row }}) ORDER BY {{ order }} LIMIT 1 FOR SHARE;
  IF FOUND THEN RETURN row_found; END IF;
  PERFORM pg_catalog.pg_advisory_xact_lock(hashtextextended({{ lock_key }}, 7));
  SELECT t.* INTO row_found FROM {{ other }} AS t WHERE {{ equal }} AND pg_catalog.record_image_eq({{ shown_row }}, {{ given_row }}) ORDER BY {{ order }} LIMIT 1 FOR SHARE;
  IF FOUND THEN RETURN row_found; END IF;
{%- endif %}
{%- if !shown %}
  -- Nobody else refers to the row: its values change. An older snapshot could not tell.
  IF held AND pg_catalog.current_setting('transaction_isolation') <> 'repeatable read' AND (SELECT pg_catalog.count(*) FROM (SELECT FROM {{ table }} AS b WHERE {{ refers_to_now }} LIMIT 2) AS q) < 2 THEN
    PERFORM 1 FROM {{ other }} AS t WHERE {{ is_now }} FOR UPDATE;
    IF FOUND AND (SELECT pg_catalog.count(*) FROM (SELECT FROM {{ table }} AS b WHERE {{ refers_to_now }} LIMIT 2) AS q) < 2 THEN
      UPDATE {{ other }} AS t SET {{ sets }} WHERE {{ is_now }} RETURNING t.* INTO row_found;
      RETURN row_found;
    END IF;
  END IF;
{%- endif %}
{%- if !numbered.is_empty() %}
  -- A key that is drawn may have been given by hand: the next one is tried.
  FOR attempt IN 1 .. 100000 LOOP
    INSERT INTO {{ other }} AS t ({{ shows }}) VALUES ({{ given }}) ON CONFLICT ({{ numbered }}) DO NOTHING RETURNING t.* INTO row_found;
    EXIT WHEN FOUND;
  END LOOP;
{%- else %}
  INSERT INTO {{ other }} AS t ({{ shows }}) VALUES ({{ given }}) RETURNING t.* INTO row_found;
{%- endif %}
{%- else %}
  -- The values must not change before we commit.
  SELECT t.* INTO row_found FROM {{ other }} AS t WHERE {{ equal }} FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation', SCHEMA = {{ schema_literal }}, TABLE = {{ table_literal }},
      CONSTRAINT = {{ constraint }}, MESSAGE = {{ message }}, DETAIL = {{ detail }};
  END IF;
  IF {{ no_values }} THEN
    RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', SCHEMA = {{ schema_literal }}, TABLE = {{ table_literal }},
      MESSAGE = {{ nameless }}, HINT = 'It can be referred to once it has one, or once this is materialized.';
  END IF;
{%- endif %}
  RETURN row_found;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ find }} IS {{ comment }};
