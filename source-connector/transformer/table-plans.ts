import { RejotError } from "../../shared/errors/error.ts";
import type { PublicSchema } from "../../shared/manifest/schema.ts";
import type { PostgresClient } from "../../shared/postgres/client.ts";
import { ancestorsOf } from "../../shared/postgres/inheritance.ts";
import { loadTableInfo, quoteIdentifier, type TableInfo } from "../../shared/postgres/table-info.ts";
import type { TypeCatalog } from "../../shared/postgres/type-catalog.ts";
import type { Relation, RelationColumn } from "../ports.ts";
import { planTransformation, type TransformationPlan } from "./plan.ts";

/** The transformations of one public schema over one table. */
export interface SchemaPlan {
  /** Index into the source's public schemas. */
  readonly schema: number;
  readonly insert: TransformationPlan | undefined;
  readonly update: TransformationPlan | undefined;
  readonly delete: TransformationPlan | undefined;
}

/** What happens with the changes of a relation. */
export interface TablePlan {
  readonly schemas: readonly SchemaPlan[];
  /** Where each column stands in a row image. */
  readonly columnIndex: ReadonlyMap<string, number>;
  /** Every plan with its public schema. */
  readonly all: readonly { readonly schema: number; readonly plan: TransformationPlan }[];
}

/** The relation that the stream will describe for a table as it is now. */
export function relationOf(table: TableInfo): Relation {
  const identity = new Set(
    table.replicaIdentity === "f" ? table.columns.map((c) => c.name) : table.identityColumns,
  );
  return {
    oid: table.oid,
    schema: table.schema,
    name: table.name,
    replicaIdentity: table.replicaIdentity,
    columns: table.columns
      .filter((column) => !column.generated)
      .map(({ name, typeOid }) => ({ name, typeOid, identity: identity.has(name) })),
  };
}

/** Plans per relation, made when its first change arrives and again when its columns have changed. */
export class TablePlans {
  readonly #client: PostgresClient;
  readonly #catalog: TypeCatalog;
  readonly #schemas: readonly PublicSchema[];
  readonly #byRelation = new WeakMap<Relation, TablePlan>();
  readonly #bySignature = new Map<string, TablePlan>();

  constructor(client: PostgresClient, catalog: TypeCatalog, schemas: readonly PublicSchema[]) {
    this.#client = client;
    this.#catalog = catalog;
    this.#schemas = schemas;
  }

  /** The plan that was made for the relation, if `prepare` has seen it. */
  get(relation: Relation): TablePlan | undefined {
    return this.#byRelation.get(relation);
  }

  /** Plans the relation's transformations. Throws what planTransformation throws. */
  async prepare(relation: Relation): Promise<TablePlan> {
    const signature = JSON.stringify([
      relation.schema,
      relation.name,
      relation.replicaIdentity,
      relation.columns,
    ]);
    const plan = this.#bySignature.get(signature) ?? (await this.#plan(relation));
    this.#bySignature.set(signature, plan);
    this.#byRelation.set(relation, plan);
    return plan;
  }

  /** Which transformations read the row from the WAL and which read the table, with the reason. */
  describe(): { schema: string; table: string; operation: string; reads: string }[] {
    return [...this.#bySignature].flatMap(([signature, { all }]) => {
      const [schema, name] = JSON.parse(signature) as [string, string];
      return all.map(({ plan }) => ({
        schema: plan.schemaName,
        table: `${schema}.${name}`,
        operation: plan.operation,
        reads: plan.reads === "table" ? `table: ${plan.tableReason}` : plan.reads,
      }));
    });
  }

  async #plan(relation: Relation): Promise<TablePlan> {
    const name = `${quoteIdentifier(relation.schema)}.${quoteIdentifier(relation.name)}`;
    const table = await loadTableInfo(this.#client, name);
    const columns = await this.#typed(relation.columns);
    const ancestors = await ancestorsOf(this.#client, table.oid);
    const schemas: SchemaPlan[] = [];
    for (const [schema, publicSchema] of this.#schemas.entries()) {
      const plans = await this.#planSchema(publicSchema, table, ancestors, columns);
      if (plans.length === 0) continue;
      const of = (operation: string) => plans.find((plan) => plan.operation === operation);
      schemas.push({ schema, insert: of("insert"), update: of("update"), delete: of("delete") });
    }
    const all = schemas.flatMap(({ schema, ...plans }) =>
      [plans.insert, plans.update, plans.delete].flatMap((plan) =>
        plan === undefined ? [] : [{ schema, plan }],
      ),
    );
    return { schemas, all, columnIndex: new Map(relation.columns.map((column, i) => [column.name, i])) };
  }

  async #planSchema(
    publicSchema: PublicSchema,
    table: TableInfo,
    ancestors: readonly number[],
    columns: readonly { name: string; typeName: string }[],
  ): Promise<TransformationPlan[]> {
    const plans: TransformationPlan[] = [];
    for (const transformation of publicSchema.config.transformations) {
      const target = await loadTableInfo(this.#client, transformation.table);
      const inherited = ancestors.includes(target.oid);
      if (target.oid !== table.oid && !inherited) continue;
      const { operation } = transformation;
      if (plans.some((plan) => plan.operation === operation)) {
        const detail = `"${publicSchema.name}" v${publicSchema.version.major}, ${operation} of ${transformation.table}`;
        throw new RejotError("TRANSFORMATION_REPEATED", { detail });
      }
      // What the stream tells of a row before its change depends on the table that the row is in.
      const { replicaIdentity, identityColumns } = table;
      const read = inherited ? { ...target, replicaIdentity, identityColumns } : table;
      plans.push(
        await planTransformation({
          client: this.#client,
          publicSchema,
          transformation,
          table: read,
          columns,
        }),
      );
    }
    return plans;
  }

  async #typed(columns: readonly RelationColumn[]): Promise<{ name: string; typeName: string }[]> {
    await this.#catalog.require(columns.map((column) => column.typeOid));
    return columns.map((column) => ({ name: column.name, typeName: this.#catalog.get(column.typeOid).name }));
  }
}
