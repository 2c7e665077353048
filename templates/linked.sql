CREATE FUNCTION {{ function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
BEGIN
  -- Old code refers to another row: if there was a link to it, this is it now.
  DELETE FROM {{ links }} AS e WHERE {{ this }};
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE TRIGGER {{ trigger }} AFTER UPDATE ON {{ table }}
  FOR EACH ROW WHEN ({{ changed }}) EXECUTE FUNCTION {{ function }}();
