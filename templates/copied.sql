CREATE FUNCTION {{ written }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
BEGIN
  -- A copy stays what it was.
  INSERT INTO {{ complement }} ({{ complement_keys }}, refactor_value)
  SELECT {{ row_keys }}, {{ old_value }} FROM {{ table }} AS b WHERE {{ refers_to_old }}
  FOR KEY SHARE OF b
  ON CONFLICT DO NOTHING;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ written }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_written }} BEFORE UPDATE ON {{ source }}
  FOR EACH ROW WHEN (pg_catalog.record_image_ne(ROW(OLD.{{ column }}), ROW(NEW.{{ column }}))) EXECUTE FUNCTION {{ written }}();
CREATE TRIGGER {{ trigger_deleted }} BEFORE DELETE ON {{ source }}
  FOR EACH ROW EXECUTE FUNCTION {{ written }}();

CREATE FUNCTION {{ moved }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
BEGIN
  -- The same for a row that refers to another now. One that referred to none has had no copy yet.
  INSERT INTO {{ complement }} ({{ complement_keys }}, refactor_value)
  SELECT {{ new_keys }}, {{ source_value }} FROM {{ source }} AS s WHERE {{ referred_by_old }}
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ moved }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_moved }} AFTER UPDATE ON {{ table }}
  FOR EACH ROW WHEN ({{ reference_changed }}) EXECUTE FUNCTION {{ moved }}();
