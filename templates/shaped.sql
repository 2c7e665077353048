CREATE FUNCTION {{ function }}() RETURNS trigger
LANGUAGE plpgsql AS $refactor$
DECLARE
  told record;
BEGIN
  -- Old code may store only what the new fields can show: otherwise no row of the view could be read any more.
  SELECT {{ told }} INTO told;
{%- if !required.is_empty() %}
  IF {{ required }} THEN
    RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', SCHEMA = {{ schema_literal }}, TABLE = {{ table_literal }},
      MESSAGE = {{ message }}, HINT = {{ hint }};
  END IF;
{%- endif %}
  RETURN NULL;
EXCEPTION WHEN data_exception THEN
  RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', SCHEMA = {{ schema_literal }}, TABLE = {{ table_literal }},
    MESSAGE = {{ message }}, DETAIL = SQLERRM, HINT = {{ hint }};
END
$refactor$;
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_insert }} AFTER INSERT ON {{ table }}
  FOR EACH ROW EXECUTE FUNCTION {{ function }}();
CREATE TRIGGER {{ trigger_update }} AFTER UPDATE ON {{ table }}
  FOR EACH ROW WHEN ({{ changed }}) EXECUTE FUNCTION {{ function }}();
