import { type Chance, pick, remove, type Write, write } from "./write.ts";

/** An account as the accounts team knows it. */
export interface Account {
  readonly id: number;
  readonly name: string;
  /** Ids; the first is the primary one. */
  readonly addresses: string[];
}

const PEOPLE = [
  "Ada Lovelace",
  "Alan Turing",
  "Grace Hopper",
  "Edsger Dijkstra",
  "Barbara Liskov",
  "Tim Lee",
];
const CITIES = ["Amsterdam", "Utrecht", "Delft", "Leiden", "Haarlem"];

/** What the accounts team does: accounts, their e-mail addresses and addresses. */
export class Customers {
  readonly accounts: Account[] = [];
  readonly #chance: Chance;
  #lastAccount = 0;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  /** An account with its e-mail address. */
  signUp(): Write {
    const id = ++this.#lastAccount;
    const name = PEOPLE[(id - 1) % PEOPLE.length] as string;
    const [first, last] = name.split(" ") as [string, string];
    this.accounts.push({ id, name, addresses: [] });
    return write(
      "accounts",
      `${name} signs up`,
      "INSERT accounts, emails",
      [
        `INSERT INTO accounts (id, first_name, last_name, tier, interests, preferences, credit_limit, password_hash)
         VALUES ($1, $2, $3, 'basic', $4, $5, $6, 'never leaves this database')`,
        id,
        first,
        last,
        [pick(this.#chance, ["music", "tea"]), "books"],
        JSON.stringify({ newsletter: this.#chance.random() < 0.5, language: "nl" }),
        this.#chance.random() < 0.5 ? null : "1500.00",
      ],
      [
        `INSERT INTO emails (account_id, email, is_primary) VALUES ($1, $2, true)`,
        id,
        `${first.toLowerCase()}.${id}@example.org`,
      ],
    );
  }

  /** A row of a joined table is added: its account is published. */
  addAddress(account: Account): Write {
    const id = this.#chance.uuid();
    const city = pick(this.#chance, CITIES);
    account.addresses.unshift(id);
    return write(
      "accounts",
      `${account.name} has a new address in ${city}`,
      "INSERT addresses",
      [`UPDATE addresses SET is_primary = false WHERE account_id = $1 AND is_primary`, account.id],
      [
        `INSERT INTO addresses (id, account_id, street, postcode, city, country, is_primary)
         VALUES ($1, $2, $3, '1234 AB', $4, 'NL', true)`,
        id,
        account.id,
        `Kerkstraat ${1 + Math.floor(this.#chance.random() * 99)}`,
        city,
      ],
    );
  }

  /** A row of a joined table changes. */
  moveHouse(account: Account): Write {
    const city = pick(this.#chance, CITIES);
    return write("accounts", `${account.name} moves to ${city}`, "UPDATE addresses", [
      `UPDATE addresses SET city = $2, postcode = NULL WHERE id = $1`,
      account.addresses[0],
      city,
    ]);
  }

  /** A row of a joined table goes: its account is published, not deleted. */
  dropAddress(account: Account): Write {
    const id = account.addresses.shift();
    return write("accounts", `${account.name} removes an address`, "DELETE addresses", [
      `DELETE FROM addresses WHERE id = $1`,
      id,
    ]);
  }

  /** The key of a joined table changes. */
  changeEmail(account: Account): Write {
    const email = `${account.name.split(" ")[1]?.toLowerCase()}.${Math.floor(this.#chance.random() * 1000)}@example.com`;
    return write("accounts", `${account.name} has a new e-mail address`, "UPDATE emails (key)", [
      `UPDATE emails SET email = $2 WHERE account_id = $1 AND is_primary`,
      account.id,
      email,
    ]);
  }

  /** A change of two columns. */
  upgrade(account: Account): Write {
    const tier = pick(this.#chance, ["plus", "business"]);
    return write("accounts", `${account.name} is a ${tier} customer now`, "UPDATE accounts", [
      `UPDATE accounts SET tier = $2, preferences = preferences || '{"since": 2026}' WHERE id = $1`,
      account.id,
      tier,
    ]);
  }

  /** A delete that cascades. */
  closeAccount(account: Account): Write {
    remove(this.accounts, account);
    return write(
      "accounts",
      `${account.name} leaves: account, e-mail and addresses are deleted`,
      "DELETE accounts",
      [`DELETE FROM accounts WHERE id = $1`, account.id],
    );
  }
}
