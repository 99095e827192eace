import { keepPreviousData, QueryClient, useQuery } from '@tanstack/react-query';
import { api, ApiError } from './client';

export const client = new QueryClient({
  defaultOptions: {
    queries: {
      placeholderData: keepPreviousData,
      refetchOnWindowFocus: false,
      staleTime: 500,
      retry: (n, err) => n < 2 && (!(err instanceof ApiError) || err.status === 0 || err.status >= 500),
      retryDelay: 1000,
    },
  },
});

export const useStatus = () => useQuery({ queryKey: ['status'], queryFn: ({ signal }) => api.status(signal) });
export const useNodes = () => useQuery({ queryKey: ['nodes'], queryFn: ({ signal }) => api.nodes(signal) });
export const useGpus = () => useQuery({ queryKey: ['gpus'], queryFn: ({ signal }) => api.gpus(signal) });
export const useJobs = (all: boolean) => useQuery({ queryKey: ['jobs', all], queryFn: ({ signal }) => api.jobs(all, signal) });
export const useTimeline = (hours: number) =>
  useQuery({ queryKey: ['timeline', hours], queryFn: ({ signal }) => api.timeline(hours, signal) });
export const useMoney = (hours: number) => useQuery({ queryKey: ['money', hours], queryFn: ({ signal }) => api.money(hours, signal) });
export const useExplainGpu = (id: string) =>
  useQuery({ queryKey: ['explain', 'gpu', id], queryFn: ({ signal }) => api.explainGpu(id, signal), enabled: id !== '', placeholderData: undefined });
export const useExplainJob = (id: string) =>
  useQuery({ queryKey: ['explain', 'job', id], queryFn: ({ signal }) => api.explainJob(id, signal), enabled: id !== '', placeholderData: undefined });
export const usePolicies = () => useQuery({ queryKey: ['policies'], queryFn: ({ signal }) => api.policies(signal) });
