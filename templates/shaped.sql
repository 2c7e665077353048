{%- for one in functions %}
{{ one }}
{%- endfor %}
CREATE FUNCTION {{ function }}() RETURNS trigger
LANGUAGE plpgsql AS {{ crate::name::BODY }}
DECLARE
  told record;
BEGIN
  -- Old code may store only what the new fields can show, and store again: otherwise no row of the view could be read
  -- any more, or none be materialized.
  BEGIN
    SELECT {{ told }} INTO told;
    PERFORM {{ back }};
  EXCEPTION WHEN data_exception OR integrity_constraint_violation OR raise_exception THEN
    RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', SCHEMA = {{ schema_literal }}, TABLE = {{ table_literal }},
      MESSAGE = {{ message }}, DETAIL = SQLERRM, HINT = {{ hint }};
  END;
{%- if !required.is_empty() %}
  IF {{ required }} THEN
    RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', SCHEMA = {{ schema_literal }}, TABLE = {{ table_literal }},
      MESSAGE = {{ message }}, HINT = {{ hint }};
  END IF;
{%- endif %}
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_insert }} AFTER INSERT ON {{ table }}
  FOR EACH ROW EXECUTE FUNCTION {{ function }}();
CREATE TRIGGER {{ trigger_update }} AFTER UPDATE ON {{ table }}
  FOR EACH ROW WHEN ({{ changed }}) EXECUTE FUNCTION {{ function }}();
