CREATE FUNCTION {{ frame.put }}() RETURNS trigger
LANGUAGE plpgsql{{ frame.rights }} AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  now record;
  seen text;
BEGIN
  IF TG_OP <> 'INSERT' THEN
    SELECT b.ctid AS token, b.xmin AS writer, {{ field_old }} AS value INTO now FROM {{ table }} AS b WHERE {{ row_old }} FOR NO KEY UPDATE;
    IF NOT FOUND OR now.value IS NOT DISTINCT FROM NULL THEN RETURN NULL; END IF;
    -- Other fields of the row may be other rows of this statement, so its version alone tells nothing.
    IF pg_catalog.record_image_ne(ROW(now.value), ROW(OLD.{{ value }})) THEN
      IF refactor.written_by_us(now.writer) THEN RETURN NULL; END IF;
      RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001',
        HINT = 'The row changed while this statement waited; a view cannot look at it again. Retry the transaction.';
    END IF;
    IF TG_OP = 'DELETE' THEN
      UPDATE {{ table }} AS b SET {{ takes_away }} WHERE {{ row_old }};
      RETURN OLD;
    END IF;
    IF {{ same }} THEN
      -- Matched twice by this statement: a table takes the first match and ignores the rest.
      seen := coalesce(pg_catalog.current_setting({{ memory }}, true), '');
      IF pg_catalog.strpos(seen, {{ seen }}) > 0 THEN RETURN NULL; END IF;
      PERFORM pg_catalog.set_config({{ memory }}, pg_catalog.right(seen, 20000) || {{ seen }}, true);
      UPDATE {{ table }} AS b SET {{ sets_new }} WHERE {{ row_new }};
      RETURN NEW;
    END IF;
    UPDATE {{ table }} AS b SET {{ takes_away }} WHERE {{ row_old }};
  END IF;
  SELECT {{ field_new }} AS value INTO now FROM {{ table }} AS b WHERE {{ row_new }} FOR NO KEY UPDATE;
  IF NOT FOUND OR ({{ is_labelled }}) IS NOT TRUE OR NEW.{{ value }} IS NOT DISTINCT FROM NULL THEN
    -- The table of the rows knows why not.
    INSERT INTO {{ rows }} ({{ fields }}) VALUES ({{ values }});
  ELSIF now.value IS DISTINCT FROM NULL THEN
    {{ unique }}
  ELSE
    UPDATE {{ table }} AS b SET {{ sets_new }} WHERE {{ row_new }};
  END IF;
  RETURN NEW;
END
{{ crate::name::BODY }};
{% include "put_end.sql" %}
