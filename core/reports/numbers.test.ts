import { expect, it } from 'vitest'
import { about, change, levelText, percent, percentUp, small, speed } from './numbers.ts'

it('shows a plain measure to three digits, in powers of ten below a thousandth', () => {
  expect([0, 0.0262, 1.2345, 0.001, 9.99e-4, 1.234e-5, 3e-15, -2e-9, NaN].map(small)).toEqual(['0', '0.0262', '1.23', '0.00100', '1.0e-3', '1.2e-5', '3.0e-15', '-2.0e-9', '–'])
})

it('shows a change with its sign, to two digits of the half-width', () => {
  const of = (low: number, mean: number, high: number): string => change({ low, mean, high })
  expect(of(0.0012, 0.0031, 0.005)).toBe('+0.0031 [+0.0012, +0.0050]')
  expect(of(-0.0009, 0.00001, 0.00102)).toBe('+0.00001 [-0.00090, +0.00102]')
  expect(of(-0.02, -0.01, 0)).toBe('-0.010 [-0.020, 0.000]')
  expect(of(1.1, 1.25, 1.4)).toBe('+1.25 [+1.10, +1.40]')
  expect(of(80, 100, 120)).toBe('+100 [+80, +120]')
  expect(of(-3e-9, 2e-9, 7e-9)).toBe('+2.0e-9 [-3.0e-9, +7.0e-9]')
  expect(of(0, 0, 0)).toBe('0 [0, 0]')
  expect(of(0.5, 0.5, 0.5)).toBe('+0.500 [+0.500, +0.500]')
  expect(of(-0.01, -0.00001, 0.01)).toBe('0.000 [-0.010, +0.010]')
  expect(of(0, 1, Infinity)).toBe('–')
})

it('shows shares as percentages', () => {
  expect([0, 0.0312, 0.004321, 0.00012, 0.1234, 0.0999, 1, 2e-7].map(percent)).toEqual(['0 %', '3.1 %', '0.43 %', '0.012 %', '12.3 %', '10.0 %', '100.0 %', '0.000020 %'])
})

it('rounds bounds up, never down', () => {
  expect([0.001, 0.00104, 0.00096, 0.0123, 0].map(percentUp)).toEqual(['0.10 %', '0.11 %', '0.096 %', '1.3 %', '0 %'])
  expect([6000, 6001, 31, 99, 100, 123_456].map(about)).toEqual(['6,000', '6,100', '31', '99', '100', '130,000'])
})

it('shows speeds in decimal units', () => {
  expect([1.4e9, 8.54e8, 999e6, 12_345, 0].map(speed)).toEqual(['1.4 GB/s', '850 MB/s', '1 GB/s', '12 kB/s', '0 B/s'])
})

it('shows a level without the noise of binary fractions', () => {
  expect([0.95, 0.999, 0.9].map(levelText)).toEqual(['95 %', '99.9 %', '90 %'])
})
