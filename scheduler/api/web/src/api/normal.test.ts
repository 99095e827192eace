import { describe, expect, it } from 'vitest';
import { complete, gpuExplanation, job, status } from './normal';

describe('complete', () => {
  it('gives every part of an empty answer', () => {
    const s = complete(status, {});
    expect(s.plan.id).toBe(0);
    expect(s.power_w.cap).toBe(-1);
    expect(s.targets).toEqual([]);
    expect(complete(gpuExplanation, { now: null, history: null }).history).toEqual([]);
    expect(complete([job], undefined)).toEqual([]);
  });
  it('keeps what is there, and completes what is inside lists', () => {
    const e = complete(gpuExplanation, { verdict: 'Mines', alternatives: [{ use: 'parked', money: { net: -5 } }], extra: 1 });
    expect(e.verdict).toBe('Mines');
    expect(e.alternatives[0]).toMatchObject({ use: 'parked', money: { net: -5, gross: 0 }, reason: { code: '' } });
    expect(complete(status, { market_speed: 0, sim: true })).toMatchObject({ market_speed: 0, sim: true });
  });
  it('does not share what it fills in', () => {
    complete(status, {}).money_per_hour.net = 7;
    expect(complete(status, {}).money_per_hour.net).toBe(0);
  });
});
