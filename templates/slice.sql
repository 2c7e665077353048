CREATE FUNCTION {{ function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
BEGIN
  -- Who writes these fields through the table says by their values whether the row has its part. The new shape's own
  -- writes come here too, and say what they mean afterwards.
  IF TG_ARGV[0] = 'with' THEN
    DELETE FROM {{ absent }} AS x WHERE {{ is_new }};
  ELSE
    INSERT INTO {{ absent }} ({{ keys }}) VALUES ({{ new_keys }}) ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_with }} AFTER UPDATE ON {{ table }}
  FOR EACH ROW WHEN (({{ changed }}){% if !holds.is_empty() %} AND ({{ holds }}) IS TRUE{% endif %}) EXECUTE FUNCTION {{ function }}('with');
{%- if !holds.is_empty() %}
CREATE TRIGGER {{ trigger_without }} AFTER UPDATE ON {{ table }}
  FOR EACH ROW WHEN (({{ changed }}) AND ({{ holds }}) IS NOT TRUE) EXECUTE FUNCTION {{ function }}('without');
CREATE TRIGGER {{ trigger_insert }} AFTER INSERT ON {{ table }}
  FOR EACH ROW WHEN (({{ holds }}) IS NOT TRUE) EXECUTE FUNCTION {{ function }}('without');
{%- endif %}
