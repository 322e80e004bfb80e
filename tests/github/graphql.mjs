// Whether a GraphQL request fits GitHub's public schema: the query, what it selects, and the variables sent with it.

import { load, text } from './packages.mjs';

const graphql = load('graphql');
// GitHub's schema defines a few fields twice, which its own rules forbid.
const source = text('@octokit', 'graphql-schema', 'schema.graphql');
const schema = graphql.buildSchema(source, { assumeValidSDL: true });
const RULES = [...graphql.specifiedRules, graphql.NoDeprecatedCustomRule];
const ENVELOPE = ['query', 'variables', 'operationName'];

/** The one operation of a document, or nothing if there are several or the text does not parse. */
function operationOf(query) {
  try {
    return graphql.getOperationAST(graphql.parse(query));
  } catch {
    return undefined;
  }
}

/** `query Comments`, `mutation Minimize`: what the request is called in a list. */
export function name(body) {
  const operation = operationOf(body?.query ?? '');
  return `POST /graphql ${operation ? `${operation.operation} ${operation.name?.value}` : 'without an operation'}`;
}

function variableProblems({ variableDefinitions }, variables) {
  const declared = new Set(variableDefinitions.map((one) => one.variable.name.value));
  const { errors = [] } = graphql.getVariableValues(schema, variableDefinitions, variables);
  const unknown = Object.keys(variables).filter((name) => !declared.has(name));
  return [...errors.map((one) => one.message), ...unknown.map((name) => `unknown variable ${name}`)];
}

// GitHub refuses pages of more than 100; its schema says so nowhere.
function pageProblems(operation) {
  const found = [];
  graphql.visit(operation, {
    Argument({ name, value }) {
      if (['first', 'last'].includes(name.value) && value.value > 100) found.push(`a page of ${value.value}`);
    },
  });
  return found;
}

/** What is wrong with a request by the schema. */
export function problems({ body }) {
  const operation = operationOf(body?.query ?? '');
  if (!operation) return ['no query that parses, with one operation'];
  return [
    ...graphql.validate(schema, graphql.parse(body.query), RULES).map((one) => one.message),
    ...variableProblems(operation, body.variables ?? {}),
    ...pageProblems(operation),
    ...Object.keys(body).filter((key) => !ENVELOPE.includes(key)).map((key) => `unknown field ${key}`),
  ];
}
