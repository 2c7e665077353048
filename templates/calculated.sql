CREATE FUNCTION {{ teller }}({{ types }}) RETURNS {{ type_name }} LANGUAGE sql RETURN ({{ value }})::{{ type_name }};
COMMENT ON FUNCTION {{ teller }} IS {{ comment }};
CREATE FUNCTION {{ function }}() RETURNS trigger
LANGUAGE plpgsql AS $refactor$
BEGIN
  -- A row for which the value cannot be computed could be written but never read. A table computes it before it looks at
  -- anything else, so this is the last trigger (by its name) that runs before.
  PERFORM {{ teller }}({{ read }});
  RETURN NEW;
EXCEPTION WHEN data_exception OR integrity_constraint_violation OR raise_exception THEN
  RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, HINT = {{ hint }};
END
$refactor$;
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_insert }} BEFORE INSERT ON {{ table }}
  FOR EACH ROW EXECUTE FUNCTION {{ function }}();
CREATE TRIGGER {{ trigger_update }} BEFORE UPDATE ON {{ table }}
  FOR EACH ROW WHEN ({{ changed }}) EXECUTE FUNCTION {{ function }}();
