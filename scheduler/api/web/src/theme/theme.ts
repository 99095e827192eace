import { createTheme, type MantineColorsTuple } from '@mantine/core';

// The library wants ten shades; ours come from tokens, so all are the accent.
const accent = Array.from({ length: 10 }, () => 'var(--accent)') as unknown as MantineColorsTuple;

export const theme = createTheme({
  fontFamily: 'var(--sans)',
  fontFamilyMonospace: 'var(--mono)',
  primaryColor: 'accent',
  colors: { accent },
  defaultRadius: 6,
  cursorType: 'pointer',
  respectReducedMotion: true,
  fontSizes: { xs: '12px', sm: '13px', md: '13px', lg: '16px', xl: '18px' },
  components: {
    Button: { defaultProps: { size: 'compact-sm', variant: 'default' }, styles: { root: { height: 28, fontSize: 13, paddingInline: 10 } } },
    SegmentedControl: { defaultProps: { size: 'xs', radius: 6 }, styles: { label: { padding: '4px 10px', fontSize: 13, lineHeight: '18px' } } },
    Textarea: { defaultProps: { size: 'xs' } },
    TextInput: { defaultProps: { size: 'xs' } },
    PasswordInput: { defaultProps: { size: 'xs' } },
  },
});
