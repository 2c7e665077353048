DO {{ crate::name::BODY }}
DECLARE
  o record;
  path CONSTANT text := pg_catalog.current_setting('search_path');
BEGIN
  -- All was written down where nothing else is on the path: read elsewhere, an operator could be another.
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  FOR o IN SELECT * FROM refactor.anew_objects WHERE stands ORDER BY kind = 'f', rank LOOP
    BEGIN
      EXECUTE o.head || o.body;
    EXCEPTION
      -- Its fields have other types.
      WHEN invalid_table_definition THEN
        PERFORM refactor.anew_take(ARRAY[o.object]);
      WHEN OTHERS THEN
        RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = pg_catalog.format('%s cannot be made anew: %s', o.name, SQLERRM),
          HINT = pg_catalog.format('change it, or give it up: refactor materialize --drop %L', o.name);
    END;
  END LOOP;
  FOR o IN SELECT * FROM refactor.anew_statements ORDER BY phase, rank, at LOOP
    BEGIN
      EXECUTE o.sql;
    EXCEPTION
      WHEN OTHERS THEN
        RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = pg_catalog.format('%s cannot be made anew: %s', o.name, SQLERRM),
          HINT = pg_catalog.format('change it, or give it up: refactor materialize --drop %L', o.name);
    END;
  END LOOP;
  PERFORM pg_catalog.set_config('search_path', path, true);
END
{{ crate::name::BODY }};
DROP FUNCTION refactor.anew_texts, refactor.anew_rank, refactor.anew_take, refactor.anew_detach, refactor.anew_keep, refactor.anew_options,
  refactor.anew_grants, refactor.anew_role, refactor.anew_absent;
DROP TABLE refactor.anew_statements, refactor.anew_objects;
