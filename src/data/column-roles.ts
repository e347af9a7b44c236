import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { suggest } from "../base/suggest.js";
import type { ColumnRoles } from "./columns.js";
import { COLUMN_ROLES } from "./records.js";

/** Reads the setting `columns`, of items ROLE=COLUMN. @throws ConfigError naming every item that is none. */
export function columnRoles(items: readonly string[]): ColumnRoles {
  const roles = new Map<string, string>();
  const faults: string[] = [];
  for (const item of items) {
    const [role, column] = item.split(/=(.*)/s) as [string, string | undefined];
    if (column === undefined || column === "") faults.push(`"${item}" must be ROLE=COLUMN, such as prompt=question`);
    else if (!COLUMN_ROLES.includes(role)) {
      const near = suggest(role, COLUMN_ROLES);
      const hint = near === undefined ? "" : `; did you mean "${near}"?`;
      faults.push(`"${role}" is no role of a column; there are ${COLUMN_ROLES.join(", ")}${hint}`);
    } else if (roles.has(role)) faults.push(`"${role}" is given twice; name one column`);
    else roles.set(role, column);
  }
  if (faults.length > 0) throw new ConfigError(faults.map((fault) => `${optionName("columns")}: ${fault}`).join("\n"));
  return roles;
}
