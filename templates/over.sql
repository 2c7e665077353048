CREATE FUNCTION {{ function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
BEGIN
  -- The row has got another that tells these values: what it was without one is over.
{%- for k in kept %}
  DELETE FROM {{ k }} AS x WHERE {{ is_row }};
{%- endfor %}
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_insert }} AFTER INSERT ON {{ table }}
  FOR EACH ROW EXECUTE FUNCTION {{ function }}();
CREATE TRIGGER {{ trigger_update }} AFTER UPDATE ON {{ table }}
  FOR EACH ROW WHEN ({{ changed }}) EXECUTE FUNCTION {{ function }}();
