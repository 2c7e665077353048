{%- if enters %}
CREATE FUNCTION {{ enter }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
BEGIN
  IF {{ none }} THEN RETURN NULL; END IF;
  -- The values must not change before we commit.
  PERFORM 1 FROM {{ other }} AS t WHERE {{ is_new }} FOR SHARE;
  IF FOUND THEN RETURN NULL; END IF;
{%- if insert %}
  PERFORM pg_catalog.pg_advisory_xact_lock(hashtextextended({{ lock_key_new }}, 7));
  PERFORM 1 FROM {{ other }} AS t WHERE {{ is_new }} FOR SHARE;
  IF FOUND THEN RETURN NULL; END IF;
{%- if unique %}
  -- A key that is drawn may have been given by hand: the next one is tried.
  FOR attempt IN 1 .. 100000 LOOP
    INSERT INTO {{ other }} ({{ found_by }}) VALUES ({{ new_values }}) ON CONFLICT DO NOTHING;
    IF FOUND THEN RETURN NULL; END IF;
    PERFORM 1 FROM {{ other }} AS t WHERE {{ is_new }} FOR SHARE;
    IF FOUND THEN RETURN NULL; END IF;
  END LOOP;
{%- endif %}
  INSERT INTO {{ other }} ({{ found_by }}) VALUES ({{ new_values }});
  RETURN NULL;
{%- else %}
  RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', SCHEMA = {{ schema_literal }}, TABLE = {{ table_literal }},
    MESSAGE = {{ unlisted }}, HINT = {{ hint }};
{%- endif %}
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ enter }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_insert }} AFTER INSERT ON {{ table }}
  FOR EACH ROW EXECUTE FUNCTION {{ enter }}();
CREATE TRIGGER {{ trigger_update }} AFTER UPDATE ON {{ table }}
  FOR EACH ROW WHEN ({{ changed }}) EXECUTE FUNCTION {{ enter }}();
{%- endif %}
CREATE FUNCTION {{ leave }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
BEGIN
  IF EXISTS (SELECT FROM was AS o WHERE NOT EXISTS (SELECT FROM {{ other }} AS t WHERE {{ same_key }})
      AND EXISTS (SELECT FROM {{ table }} AS b WHERE {{ refers_to_old }})) THEN
    RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation', SCHEMA = {{ schema_literal }}, TABLE = {{ table_literal }},
      CONSTRAINT = {{ constraint }}, MESSAGE = {{ message }};
  END IF;
{%- if !cascade.is_empty() %}
  IF EXISTS (SELECT FROM was AS o JOIN {{ other }} AS t ON {{ same_key }}
      WHERE {{ no_values }} AND EXISTS (SELECT FROM {{ table }} AS b WHERE {{ refers_to_old }})) THEN
    RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', SCHEMA = {{ other_schema_literal }}, TABLE = {{ other_table_literal }},
      MESSAGE = {{ nameless }}, HINT = 'It can go without once this is materialized.';
  END IF;
  -- Whoever refers to the row goes on doing so.
  UPDATE {{ table }} AS b SET {{ cascade }}
  FROM (SELECT {{ old_values }}, {{ new_values_t }} FROM was AS o JOIN {{ other }} AS t ON {{ same_key }}
        WHERE pg_catalog.record_image_ne(ROW({{ old_row }}), ROW({{ new_row }}))) AS d
  WHERE {{ refers_to_d }};
{%- endif %}
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ leave }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_moved }} AFTER UPDATE ON {{ other }} REFERENCING OLD TABLE AS was
  FOR EACH STATEMENT EXECUTE FUNCTION {{ leave }}();
CREATE TRIGGER {{ trigger_left }} AFTER DELETE ON {{ other }} REFERENCING OLD TABLE AS was
  FOR EACH STATEMENT EXECUTE FUNCTION {{ leave }}();
