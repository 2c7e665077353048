CREATE FUNCTION {{ frame.put }}() RETURNS trigger
LANGUAGE plpgsql{{ frame.rights }} AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  r record;
  now record;
  heir {{ links }};
BEGIN
  IF TG_OP = 'UPDATE' AND pg_catalog.record_image_eq(ROW({{ values }}), ROW({{ old_values }})) THEN
    IF OLD.refactor_first THEN
      SELECT b.ctid AS token, b.xmin AS writer INTO now FROM {{ table }} AS b WHERE {{ row_old }} AND {{ is_first_b }} FOR NO KEY UPDATE;
    ELSE
      SELECT e.ctid AS token, e.xmin AS writer INTO now FROM {{ links }} AS e WHERE {{ this_old }} FOR NO KEY UPDATE;
    END IF;
    IF FOUND THEN
      -- Matched twice by this statement: a table takes the first match and ignores the rest.
      IF now.token <> OLD.refactor_token AND refactor.written_by_us(now.writer) THEN RETURN NULL; END IF;
      IF OLD.refactor_first THEN
        UPDATE {{ table }} AS b SET {{ touch_b }} WHERE {{ row_old }};
      ELSE
        UPDATE {{ links }} AS e SET {{ touch_e }} WHERE {{ this_old }};
      END IF;
      RETURN NEW;
    END IF;
    -- It has come to the other place meanwhile, or is gone.
    IF NOT EXISTS (SELECT FROM {{ table }} AS b WHERE {{ row_old }} AND {{ is_first_b }})
      AND NOT EXISTS (SELECT FROM {{ links }} AS e WHERE {{ this_old }}) THEN RETURN NULL; END IF;
    RETURN NEW;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    SELECT {{ columns_b }} INTO r FROM {{ table }} AS b WHERE {{ row_old }} FOR NO KEY UPDATE;
    IF FOUND AND ({{ is_first_old }}) THEN
      -- The first of the others takes its place, where old code looks.
      DELETE FROM {{ links }} AS e WHERE ({{ all_e }}) = (
        SELECT {{ all_e2 }} FROM {{ links }} AS e2 WHERE {{ of_old_e2 }} ORDER BY {{ all_e2 }} LIMIT 1
      ) RETURNING e.* INTO heir;
      UPDATE {{ table }} AS b SET {{ sets_heir }} WHERE {{ row_old }};
    ELSE
      DELETE FROM {{ links }} AS e WHERE {{ this_old }};
      IF NOT FOUND THEN RETURN NULL; END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  END IF;
  SELECT {{ columns_b }} INTO r FROM {{ table }} AS b WHERE {{ row_new }} FOR NO KEY UPDATE;
  IF FOUND THEN
    IF {{ is_first_new }} THEN
      {{ unique }}
    END IF;
    IF ({{ has_none }}) AND NOT EXISTS (SELECT FROM {{ links }} AS e WHERE {{ this_new }}) THEN
      PERFORM 1 FROM {{ far }} AS f WHERE {{ far_new }} FOR KEY SHARE;
      IF FOUND THEN
        UPDATE {{ table }} AS b SET {{ sets_new }} WHERE {{ row_new }};
        RETURN NEW;
      END IF;
    END IF;
  END IF;
  INSERT INTO {{ links }} ({{ fields }}) VALUES ({{ values }});
  RETURN NEW;
END
{{ crate::name::BODY }};
{% include "put_end.sql" %}
