import { z } from 'zod'
import { BOS_POLICIES, JOIN_RULES, MODES, QUERIES } from './choices.ts'

/** Limits of a method's damage; each is in the unit of the metric, null = not part of the gate. */
export const gateSpec = z
  .object({
    /** Δ ln PPL: upper bound of the interval must lie below. */
    lnRatio: z.number().positive().nullable(),
    /** Mean KL in nats: upper bound of the interval must lie below. */
    klMean: z.number().positive().nullable(),
    /** 99th percentile of KL in nats: the measured value must lie below. */
    klP99: z.number().positive().nullable(),
    /** ΔPPL: upper bound of the interval must lie below. The origin's gate. */
    deltaPerplexity: z.number().positive().nullable(),
  })
  .strict()
export type GateSpec = z.infer<typeof gateSpec>

/** The text that methods with `:cal` learn from: its first windows, as long as those that are scored. `column` and `join` as of the text that is scored. */
export const calibrationSpec = z
  .object({
    data: z.string().min(1),
    column: z.string().min(1).nullable().default(null),
    join: z.enum(JOIN_RULES).default('file'),
    windows: z.int().min(1).max(4096).default(16),
  })
  .strict()
export type CalibrationSpec = z.infer<typeof calibrationSpec>

/** A sweep as it is asked for. What is `auto` is decided by the plan and recorded there. */
export const runSpec = z
  .object({
    schema: z.literal('kvlab.spec/1'),
    /** A model's folder or graph, its name in the library (`organisation/name[@revision][:weights]`), or `demo`. */
    model: z.string().min(1),
    /** A text file, a table of texts, a folder of text files, the name of a text in the library, or `demo`. */
    data: z.string().min(1),
    /** Of a table (.jsonl, .csv, .parquet) the column that holds the text; null: `text`, or its only one. */
    column: z.string().min(1).nullable().default(null),
    join: z.enum(JOIN_RULES),
    bos: z.enum(BOS_POLICIES),
    calibration: calibrationSpec.nullable().default(null),
    mode: z.enum(MODES),
    /** In streaming the tokens that are fed at once; null in other modes. */
    block: z.int().min(1).nullable().default(null),
    /** Other than `exact` only in-pass. */
    queries: z.enum(QUERIES).default('exact'),
    contextLength: z.int().min(4).max(1_048_576),
    prefixLength: z.int().min(1),
    /** Tokens from the start of one window to the start of the next. */
    advance: z.int().min(1),
    windows: z.union([z.int().min(1), z.literal('all')]),
    methods: z.array(z.string().min(1)).min(1).max(1000),
    batch: z.union([z.int().min(1).max(256), z.literal('auto')]),
    threads: z.union([z.int().min(1).max(256), z.literal('auto')]),
    provider: z.literal('cpu'),
    /** Bytes the sweep may hold beside the model, or `auto`. */
    memoryBudget: z.union([z.int().min(1), z.literal('auto')]),
    gate: gateSpec,
    /** Confidence level of all intervals, two-sided. */
    level: z.number().gt(0.5).lt(1),
    /** Seed of the bootstrap, the only random thing in a run. */
    seed: z.int().min(0),
    /** Racing by successive halving: methods that are surely dominated stop after windows/2^(rungs-1), …, windows/2. 1: all run to the end. */
    rungs: z.int().min(1).max(10).default(1),
    /** Keep every window's KV files, not only the first window's. */
    keepKv: z.boolean(),
  })
  .strict()
export type RunSpec = z.infer<typeof runSpec>
